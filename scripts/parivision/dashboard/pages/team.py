"""A team as its coach sees it: shot diet, points left on the floor, who should shoot what, and the next opponent."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from pydantic import Field

from parivision import court, scouting, shooting
from parivision.charts.court import court_shapes
from parivision.charts.team import changes_of_diet, zones_beside
from parivision.dashboard.page import Download, Page, PageState, Shown
from parivision.dashboard.rendering import percent, render, signed
from parivision.dashboard.session import Session
from parivision.published import Filters
from parivision.scouting import TeamShots

ALL_SEASONS = "all"


class TeamState(PageState):
    """Whose shots, of when, and whom they meet.

    Attributes
    ----------
    team, opponent : str
        Codes; empty for the first team, and for none.
    season : str
        Empty for the newest, or for those of the days where days are given; "all" for all of them.
    date_from, date_to : date, optional
    minimum : int
        Attempts of a player before anything is advised to him.
    """

    team: str = Field(default="", max_length=20)
    opponent: str = Field(default="", max_length=20)
    season: str = Field(default="", max_length=20)
    date_from: date | None = None
    date_to: date | None = None
    minimum: int = Field(default=300, ge=60, le=10_000)


class Team(Page):
    """The page, and the scouting sheet of the opponent, or of the team itself where no opponent is chosen."""

    name = "team"
    title = "Team and coach"
    template = "team.html.j2"
    State = TeamState

    def show(self, state: TeamState, session: Session) -> Shown:
        """See `Page.show`."""
        own, met, notes = self._asked(state, session)
        defender = met or own
        context: dict[str, Any] = {
            "team": own.team,
            "opponent": met.team if met else "",
            "defender": defender.team,
            "shots": own,
            "against": defender,
            "newest": session.snapshot.seasons[-1] if session.snapshot.seasons else "",
        }
        when = own.league.sentence(session.snapshot, state.units).removeprefix("Everybody, ")
        if not own.row:
            return Shown(context, sentence=f"{own.team} took no shots here ({when}).", notes=notes)
        zones, allowed, changes = own.zones, defender.allowed, scouting.clearest(own.advice)
        context |= {
            "findings": scouting.team_sentences(own.team, zones, own.gap, own.reach),
            "caveat": scouting.CAVEAT,
            "zones": zones.to_dict("records"),
            "allowed": allowed.to_dict("records"),
            "defence": scouting.defence_sentences(allowed) if defender.has_defended else [],
            "meeting": self._meeting(own, met) if met else "",
            "advice": [{**row, "muted": row["gain"] == 0} for row in own.advice.to_dict("records")],
            "players": [shooting.sentences(rows) for _, rows in own.advice.groupby("player_id", sort=False)],
            "alts": _alternatives(own.team, defender.team, zones, allowed, changes),
        }
        tables = {
            "zones": zones,
            "advice": own.advice,
            "allowed": allowed,
        }
        sentence = (
            f"{own.team}, {when}: {own.attempts:,} shots in {own.row['games']:,} games, "
            f"{own.row['points_per_shot']:.2f} points each."
        )
        return Shown(context, _figures(own, defender, changes), tables, f"{own.team}", sentence, notes)

    def act(self, state: TeamState, name: str, value: str, session: Session) -> PageState:
        """ "everything" looks at all seasons and days."""
        if name != "everything":
            return super().act(state, name, value, session)
        return state.changed(season=ALL_SEASONS, date_from=None, date_to=None)

    def download(self, state: TeamState, name: str, session: Session) -> Download:
        """ "sheet": the scouting sheet as one HTML file, without scripts and without requests."""
        if name != "sheet":
            return super().download(state, name, session)
        own, met, _ = self._asked(state, session)
        subject, reader = (met, own.team) if met else (own, "")
        text = render(
            "scouting_sheet.html.j2",
            subject=subject,
            reader=reader,
            when=subject.league.sentence(session.snapshot, state.units).removeprefix("Everybody, "),
            meta=session.snapshot.meta,
            models={kind: found.version for kind, found in session.champions.items() if found},
            shapes=[shape for shape in court_shapes() if shape["name"] not in ("floor", "centre_circle")],
            defence=scouting.defence_sentences(subject.allowed) if subject.has_defended else [],
            caveat=shooting.CAVEAT,
            short=scouting.SHORT,
            cell_ft=scouting.CELL_FT,
        )
        code = re.sub(r"[^A-Za-z0-9]+", "-", subject.team).strip("-") or "team"
        return Download(f"parivision-scouting-{code}.html", "text/html", text)

    @staticmethod
    def _asked(state: TeamState, session: Session) -> tuple[TeamShots, TeamShots | None, list[str]]:
        """The team's shots, those of whom it meets, and what of the link was left out."""
        snapshot = session.snapshot
        seasons: tuple[str, ...] = ()
        if state.season not in ("", ALL_SEASONS):
            seasons = (state.season,)
        elif not state.season and not state.date_from and not state.date_to:
            seasons = tuple(snapshot.seasons[-1:])
        filters, notes = Filters.of(
            seasons=seasons,
            date_from=state.date_from,
            date_to=state.date_to,
            teams=(state.team,) if state.team else (),
            opponents=(state.opponent,) if state.opponent else (),
        ).checked(snapshot)
        team = filters.teams[0] if filters.teams else next(iter(snapshot.teams), "")
        own = TeamShots(snapshot, filters, team, state.minimum)
        if not filters.opponents:
            return own, None, notes
        if filters.opponents[0] == team:
            return own, None, [*notes, f"{team} cannot meet itself; the opponent was left out."]
        return own, TeamShots(snapshot, filters, filters.opponents[0], state.minimum), notes

    @staticmethod
    def _meeting(own: TeamShots, met: TeamShots) -> str:
        """What the team did against this opponent, in words."""
        found = own.against_team(met.team)
        if not found["attempts"]:
            return f"{own.team} took no shots against {met.team} in these games."
        return (
            f"Against {met.team} itself {own.team} took {found['attempts']:,} shots in these games and scored "
            f"{found['points_per_shot']:.2f} points on each, where average shooters would have scored "
            f"{found['quality']:.2f}: shot making {signed(found['making'])} ({signed(found['making_low_95'])} to "
            f"{signed(found['making_high_95'])}, shrunk)."
        )


def _figures(own: TeamShots, defender: TeamShots, changes: pd.DataFrame) -> dict[str, go.Figure]:
    def beside(table: pd.DataFrame, value: str, ends: str, other: str, **more: Any) -> go.Figure:
        columns = {value: "value", f"{ends}_low": "low", f"{ends}_high": "high", other: "usual"}
        # Heaves are in the table; in a figure they would only stretch the scale.
        chosen = table[(table["attempts"] > 0) & (table["zone"] != court.BACKCOURT)][
            ["zone", "attempts", *columns]
        ].rename(columns=columns)
        # A card's heading says what the figure shows.
        return _bare(zones_beside(chosen, title="", **more))

    points = {"unit": "points per shot", "tickformat": ".1f", "decimals": ".2f"}
    return {
        "diet": beside(
            own.zones, "share", "share", "league_share", unit="share of attempts", whose=own.team, usual="league"
        ),
        "worth": beside(own.zones, "value", "value", "league_value", whose=own.team, usual="league", **points),
        "changes": _bare(changes_of_diet(changes)),
        "allowed_shares": beside(
            defender.allowed,
            "share",
            "share",
            "league_share",
            unit="share of attempts",
            whose=f"against {defender.team}",
            usual="league",
        ),
        "allowed_rates": beside(
            defender.allowed,
            "fg_shrunk",
            "fg",
            "expected_fg",
            unit="make rate",
            whose=f"against {defender.team}",
            usual="average shooters",
        ),
    }


def _bare(figure: go.Figure) -> go.Figure:
    """The figure without its title, which the card has as a heading."""
    return figure.update_layout(title=None, margin={"t": 40}, height=max(220, (figure.layout.height or 440) - 64))


def _alternatives(
    team: str, defender: str, zones: pd.DataFrame, allowed: pd.DataFrame, changes: pd.DataFrame
) -> dict[str, str]:
    """Each figure in a sentence of its numbers."""

    def listed(table: pd.DataFrame, value: str, usual: str, form: Any) -> str:
        rows = table[table["attempts"] > 0].to_dict("records")
        return "; ".join(f"{scouting.SHORT[r['zone']]} {form(r[value])} and {form(r[usual])}" for r in rows)

    def points(value: float) -> str:
        return f"{value:.2f}"

    clear = changes[changes["gain"] != 0] if len(changes) else changes
    return {
        "diet": f"Share of attempts by zone, {team} and the league: {listed(zones, 'share', 'league_share', percent)}.",
        "worth": f"Points per shot by zone, {team} and the league: {listed(zones, 'value', 'league_value', points)}.",
        "changes": f"For {len(changes)} players the zone with the clearest difference to their other shots; for "
        f"{len(clear)} of them a change is clear. The table holds the numbers.",
        "allowed_shares": f"Share of attempts by zone, against {defender} and in the league: "
        f"{listed(allowed, 'share', 'league_share', percent)}.",
        "allowed_rates": f"Make rate by zone, against {defender} and of average shooters: "
        f"{listed(allowed, 'fg_shrunk', 'expected_fg', percent)}.",
    }
