"""What is answered, with its units; and how an engine's answer becomes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from parivision import betting
from parivision.api.questions import finite
from parivision.asked import Player
from parivision.champions import Served
from parivision.comparables import Rate
from parivision.hypothetical import Estimate, Shot
from parivision.serving.engine import Answered
from parivision.serving.engine import Warning as Caveat

Share = Annotated[float, Field(ge=0, le=1)]
Role = Literal["champion", "challenger"]
Kind = Literal["pre_shot", "review"]


class Interval(BaseModel):
    """A number with its 80 % and 95 % intervals: how sure the rate is, not how the one shot falls."""

    value: float
    low_80: float
    high_80: float
    low_95: float
    high_95: float

    @classmethod
    def of(cls, found: Estimate) -> Interval:
        """From an estimate."""
        return cls(
            value=found.value,
            low_80=found.low[80],
            high_80=found.high[80],
            low_95=found.low[95],
            high_95=found.high[95],
        )


class Odds(BaseModel):
    """The price at which a bet on a make neither wins nor loses."""

    decimal: float | None = Field(description="Stake included, 1 / probability.")
    decimal_low_95: float | None = Field(description="At the upper end of the probability.")
    decimal_high_95: float | None = Field(description="At the lower end of the probability.")
    american: str | None = Field(description="The same in American writing, such as +160 or -150.")


class Seen(BaseModel):
    """Makes of attempts with Wilson's 95 % interval; null where there are none."""

    attempts: int
    made: int
    rate: Share | None
    low_95: Share | None
    high_95: Share | None

    @classmethod
    def of(cls, found: Rate) -> Seen:
        """From a rate."""
        low, high = (finite(found.low), finite(found.high)) if found.attempts else (None, None)
        return cls(attempts=found.attempts, made=found.made, rate=finite(found.rate), low_95=low, high_95=high)


class Comparable(BaseModel):
    """Real shots of the same zone near the place, at the same time of a period."""

    radius_ft: float = Field(description="How far from the place they were looked for, ft.")
    when: str = Field(description="Which time of a period.")
    league: Seen
    player: Seen


class Shooter(BaseModel):
    """Who was understood."""

    id: int
    name: str
    known: bool = Field(description="Whether he has any attempts behind him; if not, the league's prior answers.")


class ModelUsed(BaseModel):
    """The model that answered."""

    kind: Kind = Field(description="`pre_shot`, or `review` where an action type was given.")
    name: str
    version: int
    sha256: str = Field(description="Of its file.")
    candidate: str = Field(description="Its family, such as `boosting`.")
    role: Role

    @classmethod
    def of(cls, kind: str, served: Served, role: str) -> ModelUsed:
        """From what serves."""
        champion = served.champion
        return cls.model_validate(
            {
                "kind": kind,
                "name": champion.name,
                "version": champion.version,
                "sha256": champion.sha256,
                "candidate": champion.tags.get("candidate", served.model.name),
                "role": role,
            }
        )


class Note(BaseModel):
    """What to know before the number is believed."""

    code: str = Field(description="Programs may rely on it: `unknown_player`, `outside_support`, `stale_model`, …")
    message: str

    @classmethod
    def all(cls, found: tuple[Caveat, ...]) -> list[Note]:
        """From an engine's warnings."""
        return [cls(code=warning.code, message=warning.message) for warning in found]


_EXAMPLE: dict[str, Any] = {
    "id": "6f1d0c7b9e3f4b51a2c88d6e0f4b7a19",
    "probability": {"value": 0.382, "low_80": 0.358, "high_80": 0.407, "low_95": 0.345, "high_95": 0.421},
    "expected_points": {"value": 1.146, "low_80": 1.074, "high_80": 1.221, "low_95": 1.035, "high_95": 1.263},
    "fair_odds": {"decimal": 2.618, "decimal_low_95": 2.375, "decimal_high_95": 2.899, "american": "+162"},
    "value": 3,
    "zone": "Right Corner 3",
    "distance_ft": 22.85,
    "comparables": {
        "radius_ft": 2.0,
        "when": "with over 24 seconds left in a period",
        "league": {"attempts": 11294, "made": 4404, "rate": 0.39, "low_95": 0.381, "high_95": 0.399},
        "player": {"attempts": 58, "made": 22, "rate": 0.379, "low_95": 0.266, "high_95": 0.508},
    },
    "player": {"id": 2544, "name": "LeBron James", "known": True},
    "model": {
        "kind": "pre_shot",
        "name": "pre_shot-real",
        "version": 1,
        "sha256": "ecfca5da427190160931a58a30d959099c3065cfed0d210feabf2eb46465cbde",
        "candidate": "boosting",
        "role": "champion",
    },
    "snapshot": "aa68177c0c39",
    "warnings": [],
}


class Answer(BaseModel):
    """What is said of one shot."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    id: str = Field(description="Of this prediction; `/v1/outcomes` takes its result.")
    probability: Interval = Field(description="That it goes in, share of 1.")
    expected_points: Interval = Field(description="Points, probability times value.")
    fair_odds: Odds
    value: int = Field(description="Points if it goes in, 2 or 3.")
    zone: str = Field(description="Of the court, computed from the place.")
    distance_ft: float = Field(description="From the centre of the hoop, ft, computed from the place.")
    comparables: Comparable
    player: Shooter
    model: ModelUsed
    snapshot: str = Field(description="Id of the data that the answer stands on.")
    warnings: list[Note]


class BatchAnswerRow(BaseModel):
    """What is said of one shot of a batch."""

    id: str = Field(description="Of this prediction; `/v1/outcomes` takes its result.")
    probability: Share
    low_80: Share
    high_80: Share
    low_95: Share
    high_95: Share
    expected_points: float
    value: int
    zone: str
    distance_ft: float
    player_known: bool


class BatchAnswer(BaseModel):
    """One prediction a shot, in the order asked."""

    id: str = Field(description="Of the batch; that of its row i is `<id>:<i>`.")
    model: ModelUsed
    snapshot: str
    warnings: list[Note] = Field(description="Which hold for all of them.")
    predictions: list[BatchAnswerRow]


def american(price: float) -> str | None:
    """Decimal odds as Americans write them, in ASCII; None where they have no bound."""
    said = betting.american(price).replace("\N{MINUS SIGN}", "-")
    return said if said[-1].isdigit() else None


def answer_of(id_: str, shot: Shot, shooter: Player, said: Answered, model: ModelUsed, snapshot: str) -> Answer:
    """What is sent of an engine's answer."""
    price = betting.fair_price(said.probability)
    return Answer(
        id=id_,
        probability=Interval.of(said.probability),
        expected_points=Interval.of(said.probability.times(said.value)),
        fair_odds=Odds(
            decimal=finite(price.odds),
            decimal_low_95=finite(price.shortest),
            decimal_high_95=finite(price.longest),
            american=american(price.odds),
        ),
        value=said.value,
        zone=shot.zone,
        distance_ft=shot.distance_ft,
        comparables=Comparable(
            radius_ft=said.like.radius_ft,
            when=said.like.when,
            league=Seen.of(said.like.league),
            player=Seen.of(said.like.player),
        ),
        player=Shooter(id=shooter.player_id, name=shooter.name, known=said.player_known),
        model=model,
        snapshot=snapshot,
        warnings=Note.all(said.warnings),
    )


class TeamOf(BaseModel):
    """A player as the list has him."""

    id: int
    name: str
    label: str = Field(description="Name and team, unique.")
    team: str = Field(description="The latest.")
    position: str | None
    attempts: int
    first_season: str
    last_season: str


class PlayersFound(BaseModel):
    """A page of the list."""

    total: int = Field(description="How many match.")
    limit: int
    offset: int
    next_offset: int | None = Field(description="Where the next page begins; null on the last.")
    players: list[TeamOf]


class Serving(BaseModel):
    """The champion of one kind."""

    model: ModelUsed
    promoted_at: str | None = Field(description="UTC.")
    reason: str = Field(description="Why it was promoted.")
    test: dict[str, Any] = Field(description="Its numbers on the test games of the build; empty where it has none.")
    note: str = Field(description="What is not as it should be; empty where all is well.")


class ChampionAnswer(BaseModel):
    """What serves now."""

    snapshot: str
    source: str
    simulated: bool
    shots: int
    first_day: str
    last_day: str
    champions: list[Serving]


class OutcomesTaken(BaseModel):
    """What became of the results told."""

    graded: int = Field(description="Predictions graded now.")
    regraded: int = Field(description="That had another result before.")
    unchanged: int = Field(description="That had this result already.")
    unknown: int = Field(description="Ids that the ledger does not have, or no longer.")
    ambiguous: int = Field(description="Ids under which two answers were served.")


class Health(BaseModel):
    """How the server is."""

    status: Literal["live", "ready"]
    detail: str = ""
