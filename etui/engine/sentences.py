"""The plain sentences that text models are measured and calibrated with."""

SENTENCES: tuple[str, ...] = (
    "The ferry left the harbour ten minutes late because of the fog.",
    "She planted three rows of beans behind the old stone wall.",
    "A careful measurement is worth more than a hundred quick guesses.",
    "The committee postponed its decision until the new figures are published.",
    "Rain is expected in the north tomorrow, with some sunshine along the coast.",
    "He repaired the violin with a thin strip of maple and a lot of patience.",
    "How many passengers can the night train carry when every seat is taken?",
    "The recipe asks for two eggs, a cup of flour and a pinch of salt.",
    "Our laboratory compares different alloys for use in aircraft engines.",
    "Two dogs are running across a wide beach at low tide.",
    "The company reported a profit of four million euros in the third quarter.",
    "Please send the signed contract back to us before the end of the month.",
    "Ancient traders followed the rivers long before there were any roads.",
    "The patient was advised to rest for a week and drink plenty of water.",
    "A red flower grows out of a crack in the pavement.",
    "The goalkeeper saved a penalty in the last minute of the match.",
    "When the battery is empty, the lamp blinks twice and switches itself off.",
    "Her grandmother told stories about wolves, winters and very long journeys.",
    "The museum opens at nine and is closed on Mondays.",
    "Electric buses are quieter, but charging them takes most of the night.",
    "Nobody in the village could remember such a dry summer.",
    "The orchestra rehearsed the slow movement again and again.",
    "A golden pagoda stands on the hill above the crowded city.",
    "Water boils at a lower temperature on top of a high mountain.",
)


def sentence(index: int) -> str:
    """The sentence of an index; past the end of the list, two are joined so that none comes twice."""
    if index < len(SENTENCES):
        return SENTENCES[index]
    turn, place = divmod(index, len(SENTENCES))
    return f"{SENTENCES[place]} {SENTENCES[(place + turn) % len(SENTENCES)]}"
