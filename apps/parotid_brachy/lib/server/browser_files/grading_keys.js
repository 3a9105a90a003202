// The keys of the page: grades, structures and pictures, without the mouse.

const byId = id => document.getElementById(id);
const PICTURES = { PageUp: -1, PageDown: 1 };
const STRUCTURES = { ArrowUp: -1, ArrowDown: 1 };
const GRADES = { 0: '0', 1: '1', 2: '2', 3: '3', n: 'none', N: 'none' };

/**
 * Whether a key that is held down repeats what counts once: it would grade all structures, or save
 * and go on. In a text it is a letter.
 */
function isHeld({ key, repeat, target }) {
  if (!repeat || target.matches('select')) return false;
  if (key === 'Enter') return true;
  return Object.hasOwn(GRADES, key) && !target.matches('input:not([type])');
}

/** While an item is shown; what a field needs for itself, such as digits in a text, it keeps. */
export function listenToKeys(pictures, rows) {
  document.addEventListener('keydown', event => {
    if (byId('working').hidden || event.ctrlKey || event.altKey || event.metaKey) return;
    if (isHeld(event) || pressed(event, pictures, rows)) event.preventDefault();
  });
}

/** Whether a key meant something here. */
function pressed({ key, target }, pictures, rows) {
  const isOf = table => Object.hasOwn(table, key);
  if (isOf(PICTURES)) {
    pictures.show(pictures.at + PICTURES[key]);
    return true;
  }
  const row = rows.current();
  const isWithin = Boolean(row && row.fieldset.contains(target));
  if (target.matches('input:not([type]), select')) {
    if (key !== 'Enter' || !isWithin) return false;
    rows.step(row, 1, byId('save'));
    return true;
  }
  if (isOf(STRUCTURES) && isWithin) { // else they would change the grade
    rows.step(row, STRUCTURES[key], byId('save'));
    return true;
  }
  if (!isOf(GRADES) || !row || row.fieldset.disabled) return false;
  if (row.chooseByKey(GRADES[key])) rows.step(row, 1, byId('save'));
  return true;
}
