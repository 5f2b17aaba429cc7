"""Axes whose ticks cost less: each is a copy of the first, and they are placed once a drawing.

matplotlib makes every tick from the settings, and gives it what the first one has; and it looks
up their places and sizes again for each of those who ask: labels, spines, titles, the layout.
A matplotlib that asks in another way makes and places them as it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from functools import wraps
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis, Tick, XAxis, YAxis
from matplotlib.cbook import CallbackRegistry
from matplotlib.text import Text

PARTS = ("tick1line", "tick2line", "gridline", "label1", "label2")


class _Ticks(Axis):
    _kept: dict[str, Any] | None = None
    """Ticks and extents of their labels, while the axes are drawn or measured."""

    def _get_tick(self, major: bool) -> Tick:
        """A tick like the first one of the axis; the first as matplotlib makes it."""
        if not (ticks := self.majorTicks if major else self.minorTicks):
            return super()._get_tick(major)  # type: ignore[misc]
        tick = _copied(ticks[0])
        for part in PARTS:
            setattr(tick, part, _copied(getattr(ticks[0], part)))
        return tick

    def _copy_tick_props(self, src: Tick, dest: Tick) -> None:
        """Leave a copy as it is."""

    def _update_ticks(self) -> list[Tick]:
        if self._kept is None:
            return super()._update_ticks()  # type: ignore[misc]
        if "ticks" not in self._kept:
            self._kept["ticks"] = super()._update_ticks()  # type: ignore[misc]
        return self._kept["ticks"]

    def _get_ticklabel_bboxes(self, ticks: list[Tick], *renderer: Any) -> Any:
        if self._kept is None or ticks is not self._kept.get("ticks"):
            return super()._get_ticklabel_bboxes(ticks, *renderer)  # type: ignore[misc]
        if "extents" not in self._kept:
            self._kept["extents"] = super()._get_ticklabel_bboxes(ticks, *renderer)  # type: ignore[misc]
        return self._kept["extents"]


class _X(_Ticks, XAxis): ...


class _Y(_Ticks, YAxis): ...


class LightAxes(Axes):
    """Axes that are drawn as any others."""

    def _init_axis(self) -> None:
        self.xaxis, self.yaxis = _X(self, clear=False), _Y(self, clear=False)
        for side, spine in self.spines.items():
            spine.register_axis(self.xaxis if side in ("bottom", "top") else self.yaxis)

    @contextmanager
    def _once(self) -> Iterator[None]:
        """Place ticks once inside a `with` block, in which nothing moves them."""
        both: list[Any] = [self.xaxis, self.yaxis]
        for axis in both:
            axis._kept = {}
        try:
            yield
        finally:
            for axis in both:
                axis._kept = None

    def get_tightbbox(self, *args: Any, **options: Any) -> Any:
        """Extent of the axes with all that belongs to them."""
        with self._once():
            return super().get_tightbbox(*args, **options)

    @wraps(Axes.draw)
    def draw(self, renderer: Any) -> None:  # type: ignore[override]
        with self._once():
            super().draw(renderer)


def _copied(artist: Artist) -> Any:
    """A copy that shares nothing that can change."""
    twin: Any = copy(artist)
    twin.stale_callback = artist.stale_callback
    twin._callbacks = CallbackRegistry(signals=["pchanged"])
    if isinstance(twin, Text):
        twin.set_fontproperties(twin.get_fontproperties())
    return twin
