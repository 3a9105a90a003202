// One item on the page: its pictures, and the form in which its structures are graded.

const byId = id => document.getElementById(id);
const NOT_GRADABLE = 'none'; // the value of a radio button
const LONGEST_TEXT = 1000;

export function element(tag, properties = {}, ...content) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...content);
  return made;
}

/** The pictures of an item, one of them in sight; all are loaded at once. */
export class Pictures {
  constructor() {
    this.at = 0;
    this.images = [];
    this.planes = [];
    this.turned = 0;
    byId('slider').addEventListener('input', event => this.show(Number(event.target.value)));
    byId('pictures').addEventListener('wheel', event => this.wheel(event), { passive: false });
  }

  load(planes, addressOf, failed) {
    this.planes = planes;
    this.images = planes.map((plane, number) => {
      const image = element('img', { alt: this.title(number), decoding: 'async' });
      image.addEventListener('error', failed);
      image.src = addressOf(number);
      return image;
    });
    byId('pictures').replaceChildren(...this.images);
    const names = [...new Set(planes)];
    byId('planes').replaceChildren(...names.map(name => {
      const button = element('button', { type: 'button', textContent: capital(name) });
      button.dataset.plane = name;
      button.addEventListener('click', () => this.show(this.middle(name)));
      return button;
    }));
    byId('slider').max = Math.max(planes.length - 1, 0);
    if (planes.length) this.show(this.middle(planes[0]));
  }

  middle(plane) {
    const own = this.planes.flatMap((name, number) => (name === plane ? [number] : []));
    return own[Math.floor(own.length / 2)];
  }

  title(number) {
    const plane = this.planes[number];
    const place = this.planes.slice(0, number + 1).filter(name => name === plane).length;
    const count = this.planes.filter(name => name === plane).length;
    return `${capital(plane)} ${place} of ${count}`;
  }

  show(number) {
    this.at = Math.min(Math.max(number, 0), this.images.length - 1);
    this.images.forEach((image, place) => {
      const isShown = place === this.at;
      image.classList.toggle('is-shown', isShown);
      image.setAttribute('aria-hidden', String(!isShown));
    });
    const slider = byId('slider');
    slider.value = this.at;
    byId('shown').textContent = this.title(this.at);
    slider.setAttribute('aria-valuetext', this.title(this.at));
    for (const button of byId('planes').children) {
      const isPressed = button.dataset.plane === this.planes[this.at];
      button.setAttribute('aria-pressed', String(isPressed));
    }
  }

  wheel(event) {
    event.preventDefault();
    this.turned += event.deltaY * (event.deltaMode ? 20 : 1); // lines, or pixels
    if (Math.abs(this.turned) < 30) return;
    this.show(this.at + Math.sign(this.turned));
    this.turned = 0;
  }
}

/** The form: a row for each structure, with radio buttons, a reason and a comment. */
export class Rows {
  constructor(changed) {
    this.changed = changed;
    this.rows = [];
  }

  load(structures, scale, item, isClosed) {
    const given = new Map(item.grades.map(grade => [grade.structure, grade]));
    this.rows = structures.map(structure => new Row(
      structure, scale, given.get(structure.name), item.contoured.includes(structure.name),
      () => this.changed(),
    ));
    for (const row of this.rows) row.fieldset.disabled = isClosed;
    byId('scale').textContent = scale.map((meaning, grade) => `${grade} ${meaning}`).join('; ');
    byId('structures').replaceChildren(...this.rows.map(row => row.fieldset));
    this.focusFirstOpen();
  }

  missing() {
    return this.rows.filter(row => !row.isWhole());
  }

  /** What is given, as the server takes it; rows without a grade stay open. */
  given() {
    return this.rows.filter(row => row.isWhole()).map(row => row.given());
  }

  focusFirstOpen() {
    (this.missing()[0] || this.rows[0]).focus();
  }

  /** The row with the focus; else the first without a grade; else none. */
  current() {
    return this.rows.find(row => row.fieldset.contains(document.activeElement))
      || this.missing()[0];
  }

  step(row, by, atEnd) {
    const next = this.rows[this.rows.indexOf(row) + by];
    if (next) next.focus();
    else if (by > 0 && atEnd) atEnd.focus();
  }
}

class Row {
  constructor(structure, scale, kept, isContoured, changed) {
    this.name = structure.name;
    this.title = structure.title;
    const swatch = element('i');
    swatch.style.background = `rgb(${structure.colour.join(' ')})`;
    const legend = element('legend', {}, swatch, structure.title);
    if (!isContoured) legend.append(element('small', { textContent: 'no contour in this map' }));
    const words = scale.map((meaning, grade) => [String(grade), meaning]);
    this.radios = [...words, [NOT_GRADABLE, 'not gradable']].map(([value, meaning]) => element(
      'input', { type: 'radio', name: `grade-${structure.name}`, value, title: meaning },
    ));
    const choices = element('div', { className: 'choices' }, ...this.radios.map(radio => element(
      'label', {}, radio,
      element('span', {}, element('b', {
        textContent: radio.value === NOT_GRADABLE ? 'N' : radio.value,
      }), shortened(radio.title)),
    )));
    this.reason = textLine('reason', kept ? kept.reason : '');
    this.comment = textLine('comment', kept ? kept.comment : '');
    this.fieldset = element('fieldset', { tabIndex: -1 }, // it takes the focus before a grade does
      legend, choices, this.reason.line, this.comment.line);
    if (kept) this.choose(kept.grade === null ? NOT_GRADABLE : String(kept.grade));
    this.showReason();
    this.fieldset.addEventListener('input', () => {
      this.showReason();
      changed();
    });
    this.changed = changed;
  }

  value() {
    const chosen = this.radios.find(radio => radio.checked);
    return chosen ? chosen.value : null;
  }

  choose(value) {
    this.radios.find(radio => radio.value === value).checked = true;
    this.showReason();
  }

  /** As if by mouse; then the reason is asked for, where one is needed. */
  chooseByKey(value) {
    this.choose(value);
    this.changed();
    if (value === NOT_GRADABLE) this.reason.input.focus();
    return value !== NOT_GRADABLE;
  }

  showReason() {
    const isNeeded = this.value() === NOT_GRADABLE;
    this.reason.line.hidden = !isNeeded;
    this.reason.input.required = isNeeded;
  }

  isWhole() {
    const value = this.value();
    return value !== null && (value !== NOT_GRADABLE || this.reason.input.value.trim() !== '');
  }

  /** Whether anything is given, a whole grade or not. */
  isBegun() {
    return this.value() !== null || this.comment.input.value.trim() !== '';
  }

  given() {
    const isGraded = this.value() !== NOT_GRADABLE;
    return {
      structure: this.name,
      grade: isGraded ? Number(this.value()) : null,
      reason: isGraded ? '' : this.reason.input.value.trim(),
      comment: this.comment.input.value.trim(),
    };
  }

  focus() {
    const lacksReason = this.value() === NOT_GRADABLE && !this.isWhole();
    (lacksReason ? this.reason.input : this.fieldset).focus();
  }
}

function textLine(name, value) {
  const input = element('input', { value, maxLength: LONGEST_TEXT, autocomplete: 'off' });
  const title = element('span', { textContent: capital(name) });
  return { line: element('label', { className: `text ${name}` }, title, input), input };
}

/** The first words of a grade's meaning, as a button has room for. */
function shortened(meaning) {
  return meaning.split(',')[0].replace(/ error$/, '');
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
