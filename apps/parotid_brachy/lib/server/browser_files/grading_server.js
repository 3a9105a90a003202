// The server, and who is asking it: every request says whose name the page shows.

import { element } from './grading_item.js';

const NAME = 'parotid-reader'; // as OHIF's bar keeps it

/** What the server refuses, with its reason; without a text where it has been told already. */
export class RefusedError extends Error {}

/** The server, as asked by one page. */
export class Server {
  /**
   * @param page what the page can do: isDirty(), say(text, isFault, link), reload()
   */
  constructor(page) {
    this.page = page;
    this.reader = null; // as the server knows him or her
    this.grader = ''; // the name that the page shows
  }

  async lookWho() {
    this.reader = await this.ask('me');
    this.grader = this.reader.is_proved ? this.reader.name : statedName();
  }

  mayUnmask() {
    return this.reader.is_proved && this.reader.role !== 'annotator';
  }

  callOneself(name) {
    window.localStorage.setItem(NAME, name);
  }

  /** Address of a study, or something in it, below /review. */
  pathOf(study, path = '') {
    return `grading/${encodeURIComponent(study)}${path}?${this.asGrader()}`;
  }

  asGrader() {
    return `grader=${encodeURIComponent(this.grader)}`;
  }

  give(study, item, grades) {
    return this.ask(`grading/${encodeURIComponent(study)}/items/${item}/grades`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ grader: this.grader, grades }),
    });
  }

  /** An answer of the server's; whoever is not logged in any more is sent to log in. */
  async ask(path, options = {}) {
    let answer;
    try {
      answer = await fetch(`../review/${path}`, options);
    } catch {
      // What was sent may have been saved, or saved before: saving it again changes nothing.
      throw new RefusedError('The server does not answer. Try again.');
    }
    if (answer.ok) return answer.json();
    if (answer.status === 401 && this.reader && this.reader.is_proved) this.loginHasExpired();
    if (answer.status === 409 && await this.isSomebodyElse()) this.page.reload();
    throw new RefusedError(await reasonOf(answer));
  }

  // Grades that are not saved yet would be lost with the page.
  loginHasExpired() {
    if (!this.page.isDirty()) window.location.assign(loginAddress());
    const link = element('a', { href: loginAddress(), target: '_blank', rel: 'noopener' }, 'Log in');
    this.page.say('Your login has expired. Log in in the new tab, then save here. ', true, link);
    throw new RefusedError('');
  }

  /** Whether another reader has logged in, or been named, since the page was opened. */
  async isSomebodyElse() {
    if (!this.reader) return false;
    const answer = await fetch('../review/me').catch(() => null);
    if (!answer || !answer.ok) return false;
    const now = await answer.json();
    const name = now.is_proved ? now.name : statedName();
    return now.is_proved !== this.reader.is_proved || name !== this.grader;
  }

  async logOut() {
    await fetch('../auth/session', { method: 'DELETE' });
    window.location.assign(loginAddress());
  }
}

function statedName() {
  return window.localStorage.getItem(NAME) || '';
}

function loginAddress() {
  const wanted = `/grading/${window.location.search}`;
  return `../auth/login?next=${encodeURIComponent(wanted)}`;
}

async function reasonOf(answer) {
  try {
    const { detail } = await answer.json();
    return typeof detail === 'string' ? detail : JSON.stringify(detail);
  } catch {
    return 'the server gave no reason';
  }
}
