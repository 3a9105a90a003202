// The page for blind grading: who grades, which study, and one item after the other.
//
// Every request says whose name the page shows. The server refuses it where somebody else has
// logged in meanwhile in the same browser, and the page is then opened anew.

import { Pictures, Rows, element } from './grading_item.js';
import { listenToKeys } from './grading_keys.js';
import { RefusedError, Server } from './grading_server.js';

const byId = id => document.getElementById(id);
const SECTIONS = ['naming', 'choosing', 'finished', 'working'];

let study = null;
let item = null;
let isDirty = false;
let isBusy = false;

const server = new Server({ isDirty: () => isDirty, say, reload });
const pictures = new Pictures();
const rows = new Rows(() => {
  isDirty = true;
  say('');
  showMissing();
});

function say(text, isFault = false, link = '') {
  byId('said').replaceChildren(text, link);
  byId('said').classList.toggle('fault', isFault);
}

function show(section) {
  for (const id of SECTIONS) byId(id).hidden = id !== section;
}

function reload() {
  isDirty = false; // it is somebody else's
  window.location.reload();
}

function tell(error) {
  if (!(error instanceof RefusedError)) throw error;
  if (error.message) say(error.message, true);
}

/** Does something that asks the server, and tells what it refuses; one thing at a time. */
async function attempt(action) {
  if (isBusy) return;
  isBusy = true;
  byId('save').disabled = true;
  try {
    await action();
  } catch (error) {
    tell(error);
  } finally {
    isBusy = false;
    byId('save').disabled = Boolean(study && study.closing);
  }
}

async function begin() {
  await server.lookWho();
  const { reader, grader } = server;
  byId('leave').hidden = !reader.is_proved;
  byId('rename').hidden = reader.is_proved || !grader;
  byId('who').textContent = reader.is_proved ? `${grader} (${reader.role})`
    : grader && `${grader}, not logged in`;
  if (!grader) {
    show('naming');
    byId('name').focus();
    return;
  }
  const wanted = new URLSearchParams(window.location.search).get('study');
  if (wanted) await openStudy(wanted);
  else await choose();
}

async function choose() {
  const found = await server.ask(`grading?${server.asGrader()}`);
  study = item = null;
  isDirty = false;
  window.history.replaceState(null, '', window.location.pathname);
  byId('where').textContent = '';
  byId('none').hidden = found.length > 0;
  byId('studies').replaceChildren(...found.map(one => {
    const { items, items_done: done } = one.progress;
    const state = one.closing ? 'closed' : `${done} of ${items} items graded`;
    const button = element('button', { type: 'button' },
      element('span', { textContent: one.study }), element('span', { textContent: state }));
    button.addEventListener('click', () => attempt(() => openStudy(one.study)));
    return element('li', {}, button);
  }));
  show('choosing');
  const first = byId('studies').querySelector('button');
  if (first) first.focus();
}

async function openStudy(name) {
  try {
    study = await server.ask(server.pathOf(name));
  } catch (error) {
    await choose();
    throw error;
  }
  window.history.replaceState(null, '', `?study=${encodeURIComponent(name)}`);
  if (study.closing || !study.next_item) finish();
  else await openItem(study.next_item);
}

function finish() {
  const { closing, items } = study;
  byId('where').textContent = study.study;
  byId('finished-title').textContent = closing ? 'The study is closed' : 'All items are graded';
  byId('finished-text').textContent = closing
    ? `It was closed by ${closing.by} at ${closing.at}. No further grade is taken.`
    : `You have graded all ${items.length} items. Until the study is closed you can go back and `
      + 'change grades; the newest counts.';
  const isOpen = Boolean(closing && server.mayUnmask());
  byId('report').hidden = !isOpen;
  if (isOpen) byId('report').href = `../review/grading/${encodeURIComponent(study.study)}/report`;
  show('finished');
  byId('finished-title').focus();
}

async function openItem(id) {
  const path = `/items/${id}`;
  item = await server.ask(server.pathOf(study.study, path));
  isDirty = false;
  show('working');
  pictures.load(item.pictures,
    number => `../review/${server.pathOf(study.study, `${path}/pictures/${number}`)}`,
    () => pictureFailed().catch(tell));
  rows.load(study.structures, study.scale, item, Boolean(study.closing));
  showProgress();
  showMissing();
}

async function pictureFailed() {
  if (await server.isSomebodyElse()) reload();
  await server.ask('me'); // says so if the login has expired
  say('A picture could not be loaded. Open the item again.', true);
}

function showProgress() {
  const done = study.items.filter(one => one.is_done).length;
  byId('where').textContent = `${study.study}: item ${item.place} of ${study.items.length}, `
    + `${done} graded`;
  const bar = byId('progress');
  bar.max = study.items.length;
  bar.value = done;
  bar.setAttribute('aria-label', `${done} of ${study.items.length} items graded`);
  byId('items').replaceChildren(...study.items.map((one, place) => element('option', {
    value: one.item,
    textContent: `${place + 1} of ${study.items.length}${one.is_done ? ', graded' : ''}`,
    selected: one.item === item.item,
  })));
  byId('back').disabled = item.place === 1;
  byId('on').disabled = item.place === study.items.length;
  byId('save').disabled = Boolean(study.closing);
}

function showMissing() {
  const count = rows.missing().length;
  byId('left').textContent = count ? `${count} of ${rows.rows.length} left to grade` : '';
}

/** Whether nothing is lost by leaving the item, or the reader does not mind. */
function mayLeave() {
  return !isDirty || window.confirm('Grades on this page are not saved. Go on without them?');
}

async function goTo(id) {
  if (!mayLeave()) {
    byId('items').value = item.item;
    return;
  }
  say('');
  await openItem(id);
}

async function save() {
  const grades = rows.given();
  const missing = rows.missing();
  if (grades.length) {
    isDirty = false; // until something is changed while the server is asked
    try {
      await server.give(study.study, item.item, grades);
    } catch (error) {
      isDirty = true;
      throw error;
    }
  }
  if (missing.length || isDirty) {
    const names = rows.missing().map(row => row.title).join(', ');
    isDirty = isDirty || missing.some(row => row.isBegun());
    const left = names ? `Still without a grade or a reason: ${names}.`
      : 'What was changed meanwhile is not.';
    say(grades.length ? `Saved. ${left}` : left, true);
    rows.focusFirstOpen();
    return;
  }
  const saved = `Item ${item.place} saved.`;
  study = await server.ask(server.pathOf(study.study));
  const later = study.items.slice(item.place).find(one => !one.is_done);
  const next = later ? later.item : study.next_item;
  if (next) await openItem(next);
  else finish();
  say(saved);
}

async function look() {
  if (await server.isSomebodyElse()) reload();
}

byId('naming').addEventListener('submit', event => {
  event.preventDefault();
  server.callOneself(byId('name').value.trim());
  attempt(begin);
});
byId('rename').addEventListener('click', () => {
  if (!mayLeave()) return;
  server.callOneself('');
  reload();
});
byId('leave').addEventListener('click', async () => {
  if (!mayLeave()) return;
  isDirty = false;
  await server.logOut();
});
for (const button of document.querySelectorAll('.to-studies')) {
  button.addEventListener('click', () => {
    if (!mayLeave()) return;
    say('');
    attempt(choose);
  });
}
byId('again').addEventListener('click', () => attempt(() => openItem(study.items[0].item)));
byId('items').addEventListener('change', event => attempt(() => goTo(event.target.value)));
byId('back').addEventListener('click', () => attempt(() => goTo(study.items[item.place - 2].item)));
byId('on').addEventListener('click', () => attempt(() => goTo(study.items[item.place].item)));
byId('grading').addEventListener('submit', event => {
  event.preventDefault();
  attempt(save);
});
listenToKeys(pictures, rows);
window.addEventListener('focus', look); // logged in or out in another tab
window.addEventListener('pageshow', event => { if (event.persisted) reload(); });
window.addEventListener('beforeunload', event => { if (isDirty) event.preventDefault(); });
attempt(begin);
