"""The desk with its folders, label maps and slips of paper: what clients ask, in plain words.

Beside :mod:`reading_room`, which says who may; this says what lies where afterwards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tests.review.reading_room import Folder, Person, RefusedError


@dataclass
class Sheet:
    """One label map.

    Attributes:
        author: who made it.
        kind: draft, initial or correction.
        tag: under which it was laid.
        content: what it shows.
        slip: the last word on it: status, level, comment; None without one.
        is_withdrawn: taken away.
    """

    author: str
    kind: str
    tag: str
    content: object
    slip: tuple[str, str, str] | None = None
    is_withdrawn: bool = False


@dataclass
class Desk:
    """One case.

    Attributes:
        folder: where it lies, and who may what.
        sheets: all label maps, numbered from 1.
        top: by tag, the number of the sheet that clients see; None where one was withdrawn.
        approved: number of the approved sheet.
        seen: by tag and reader, the sheet that he or she looked at last.
    """

    folder: Folder
    sheets: list[Sheet] = field(default_factory=list)
    top: dict[str, int | None] = field(default_factory=dict)
    approved: int | None = None
    seen: dict[tuple[str, str], int] = field(default_factory=dict)

    def look(self, who: Person, tag: str) -> None:
        number = self.top.get(tag)
        if number is None:
            raise RefusedError("nothing")
        self.seen[tag, who.name] = number

    def draft(self, who: Person, content: object) -> None:
        self.folder.draft(who)
        self._lay(Sheet(who.name, "draft", "original", content))

    def save(
        self, who: Person, wish: str, content: object, word: tuple[str, str, str] | None = None
    ) -> None:
        """Reader 1's is a submission; a senior's on another's contours is a correction.

        A senior may say something about it at once; an annotator's word does not count.
        """
        number = re.fullmatch(r"version_([1-9][0-9]{0,3})", wish)
        if wish not in {"", "final"} and not number:
            raise RefusedError("words")
        anothers = self.folder.initial_by not in {None, who.name}
        if number or (who.is_senior and anothers and not self.folder.is_consensus):
            self.folder.correct(who)
            self._lay(Sheet(who.name, "correction", self._correction_tag(who, wish), content))
        else:
            self.folder.submit(who)
            self._lay(Sheet(who.name, "initial", "final", content))
        if word is not None and who.is_senior:
            self.seen[self.sheets[-1].tag, who.name] = len(self.sheets)
            self.review(who, self.sheets[-1].tag, *word)

    def _correction_tag(self, who: Person, wish: str) -> str:
        """As wished, if that leaves no gap and hides nobody else's work; else the next."""
        used = [int(tag[8:]) for tag in self.top if tag.startswith("version_")]
        following = max(used, default=0) + 1
        if not wish.startswith("version_") or int(wish[8:]) > following:
            return f"version_{following}"
        there = self.top.get(wish)
        is_free = there is None or self.sheets[there - 1].author == who.name
        return wish if is_free else f"version_{following}"

    def review(self, who: Person, tag: str, status: str, level: str, comment: str) -> None:
        number = self.top.get(tag)
        if number is None:
            raise RefusedError("nothing")
        sheet = self.sheets[number - 1]
        is_approved = self.approved == number
        flagged = sheet.slip is not None and sheet.slip[0] == "flagged"
        was = "approved" if is_approved else "flagged" if flagged else ""
        word = (status, level, comment)
        if status == was:
            if word != (was, *(sheet.slip[1:] if sheet.slip else ("", ""))):
                # Flagged once more with other words, it goes back once more.
                is_anew = was == "flagged" and comment != sheet.slip[2]
                if is_anew and self.folder.state != "returned":
                    self.folder.send_back(who)
                else:
                    self.folder.comment(who)
                sheet.slip = word
            return
        # What was approved is reopened first, with the comment for the reason; a flag on another
        # sheet does not touch it.
        if self.folder.state == "approved" and (is_approved or status == "approved"):
            self.reopen(who, comment)
        if status == "approved":
            # A model's draft is nobody's contours; and nobody approves what he or she has not seen.
            if sheet.kind == "draft" or self.seen.get((tag, who.name), number) != number:
                raise RefusedError("state")
            self.folder.approve(who)
            self._take_off("approved", "flagged")
            self.approved = number
        elif status == "flagged":
            self.folder.send_back(who)
        elif was == "flagged" and self.folder.state == "returned":
            self.folder.resume(who)
        elif is_approved:
            return
        else:
            self.folder.comment(who)
        sheet.slip = word

    def reopen(self, who: Person, reason: str) -> None:
        self.folder.reopen(who, reason)
        self._take_off("approved")
        self.approved = None

    def withdraw(self, who: Person, tag: str) -> None:
        """Out of sight, and kept; without initial contours, the case waits for reader 1 again."""
        if tag.startswith("version_"):
            self.folder.withdraw_correction(who)
        else:
            self.folder.withdraw(who)
        number = self.top.get(tag)
        if number is None:
            raise RefusedError("nothing")
        self.sheets[number - 1].is_withdrawn = True
        self.top[tag] = None
        if self.folder.is_consensus:
            return
        if tag == "final":
            self.folder.initial_by = None
            self.folder.state = "new" if self.top.get("original") is None else "drafted"
        elif tag == "original" and self.folder.state == "drafted":
            self.folder.state = "new"

    def set_consensus(self, is_consensus: bool) -> None:
        """Before the first contours only."""
        if is_consensus == self.folder.is_consensus:
            return
        if self.folder.state not in {"new", "drafted"} or self.folder.initial_by is not None:
            raise RefusedError("state")
        self.folder.is_consensus = is_consensus

    def _lay(self, sheet: Sheet) -> None:
        self.sheets.append(sheet)
        self.top[sheet.tag] = len(self.sheets)

    def _take_off(self, *statuses: str) -> None:
        for number in self.top.values():
            sheet = self.sheets[number - 1] if number else None
            if sheet and sheet.slip and sheet.slip[0] in statuses:
                sheet.slip = ("", *sheet.slip[1:])
