"""Results of a closed grading study as REST has them."""

from __future__ import annotations

from pydantic import BaseModel, Field

from parotid_brachy.lib.evaluation.grading.results import Results
from parotid_brachy.lib.server.grading_records import ClosingRow


class CellRow(BaseModel):
    """Grades of one structure by one method, of one grader or all (null)."""

    method: str
    structure: str | None
    grader: str | None
    n: int
    not_gradable: int
    mean: float | None
    sd: float | None
    share_at_2_or_more: float | None


class AgreementOfGraders(BaseModel):
    """Weighted kappa of two graders, of one structure or all (null)."""

    graders: tuple[str, str]
    structure: str | None
    weights: str
    n: int
    agreement: float | None
    kappa: float | None
    interval_95: tuple[float, float] | None
    remark: str


class UnmaskedRow(BaseModel):
    """A grade, with what it was given to."""

    method: str
    case: str
    structure: str
    grader: str
    grade: int | None
    reason: str
    comment: str
    at: str


class ResultsDetail(BaseModel):
    """A closed study, unmasked."""

    closing: ClosingRow
    methods: list[str] = Field(description="the last is the manual contours, the control")
    cases: int
    changed: int = Field(description="grades that a later one of the same grader replaced")
    table: list[CellRow]
    agreements: list[AgreementOfGraders]
    grades: list[UnmaskedRow]

    @classmethod
    def of(cls, results: Results) -> ResultsDetail:
        """Results of the core."""
        return cls(
            closing=ClosingRow.model_validate(results.closing),
            methods=list(results.methods),
            cases=results.cases,
            changed=results.changed,
            table=[
                CellRow(
                    method=method,
                    structure=structure.name if structure else None,
                    grader=grader,
                    n=cell.n,
                    not_gradable=cell.not_gradable,
                    mean=cell.mean,
                    sd=cell.sd,
                    share_at_2_or_more=cell.acceptable,
                )
                for method, structure, grader, cell in results.cells()
            ],
            agreements=[
                AgreementOfGraders(
                    graders=one.graders,
                    structure=one.structure.name if one.structure else None,
                    weights=one.weights.value,
                    n=one.kappa.n,
                    agreement=one.kappa.agreement,
                    kappa=one.kappa.kappa,
                    interval_95=one.kappa.interval,
                    remark=one.kappa.remark,
                )
                for one in results.agreements()
            ],
            grades=[
                UnmaskedRow(
                    method=one.method,
                    case=one.case,
                    structure=one.structure.name,
                    grader=one.kept.grader,
                    grade=one.kept.grade.grade,
                    reason=one.kept.grade.reason,
                    comment=one.kept.grade.comment,
                    at=one.kept.at,
                )
                for one in results.grades
            ],
        )
