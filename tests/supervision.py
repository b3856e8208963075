"""What every sample of the embedded world has to keep about what its questions and answers point at."""

from cookbook_utils.tiny.samples import Glyph


def check_supervision(sample):
    """Phrases stand in their prompts, starts grow, every letter that is read is the one that is looked at."""
    known = {id(region) for region in (*sample.regions, *sample.glyphs)}
    for turn in sample.turns:
        for phrase, regions in turn.mentions:
            assert phrase in turn.prompt and all(id(region) in known for region in regions), turn.prompt
        starts = [start for start, _ in turn.shown]
        assert starts == sorted(set(starts)) and (not starts or starts[0] == 0 and starts[-1] <= len(turn.answer))
        assert all(region is None or id(region) in known or region in turn.prompt for _, region in turn.shown), turn.task
        for (start, region), (end, following) in zip(turn.shown, turn.shown[1:], strict=False):
            if isinstance(region, Glyph) and isinstance(following, Glyph):
                assert turn.answer[end - 1] in (region.character, '"'), turn.answer  # or before the text of a box
