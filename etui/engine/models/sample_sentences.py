"""Sample sentences for the evaluation of text models, and others for their calibration."""

EVALUATION: tuple[str, ...] = (
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
    "The bridge was closed to lorries after cracks had been found in a pillar.",
    "My neighbour keeps bees and sells the honey at the weekend market.",
    "Which of these two paintings is older, the portrait or the landscape?",
    "The satellite sends one picture of the polar ice every ninety minutes.",
    "A good translation keeps the jokes even if it has to change the words.",
    "They reached the summit at noon and saw nothing but clouds.",
    "The court ruled that the tenant may stay until the lease ends.",
    "Small earthquakes are common here, but few people ever notice them.",
)


CALIBRATION: tuple[str, ...] = (
    "The library lends tools and bicycles as well as books.",
    "Seven swans were resting on the frozen lake this morning.",
    "The engineer drew a straight line through the measured points.",
    "Fresh bread is delivered to the shop before six o'clock.",
    "Why does the left headlight flicker when I turn the key?",
    "The senate rejected the bill by a margin of three votes.",
    "A thin layer of dust covered every piano in the warehouse.",
    "He learned to swim at the age of forty-one.",
    "The new vaccine must be stored at minus seventy degrees.",
    "Our flight was diverted because a thunderstorm hung over the airport.",
    "She writes crime novels under a name that nobody can pronounce.",
    "The harvest of olives was poor, so the price of oil has doubled.",
    "Please turn off your phone during the performance.",
    "An old map shows a river where the main street runs today.",
    "The cat slept on the keyboard and deleted half of the report.",
    "Wind turbines now produce more power than the coal plant did.",
    "The referee stopped the game until the spectators had calmed down.",
    "A narrow staircase leads from the kitchen to the roof.",
    "Scientists discovered a new species of frog in a roadside ditch.",
    "The bank will answer your letter within five working days.",
    "Four children built a dam out of branches, stones and mud.",
    "I would rather walk than wait another hour for the tram.",
    "The carpenter sharpened his chisel and began with the oak door.",
    "Heavy snow blocked the pass, and the village had no post for a week.",
    "Does the warranty cover damage that was caused by salt water?",
    "The choir sang two encores, and then the lights went out.",
    "A yellow taxi was parked in front of the theatre all night.",
    "The startup hired a lawyer before it hired a programmer.",
    "Elephants can hear sounds that are far too low for us.",
    "Put the lid on the pot and let the soup simmer for twenty minutes.",
    "The lighthouse keeper wrote down the weather every day for thirty years.",
    "Half of the exhibits are copies, and the guide will not say which.",
)


def sentence(index: int, *, calibration: bool = False) -> str:
    """Return the sentence with an index, from the list for evaluation or that for ``calibration``.

    Past the end of the list, two of its sentences are joined, so that no sentence is repeated.
    """
    sentences = CALIBRATION if calibration else EVALUATION
    if index < len(sentences):
        return sentences[index]
    repetition, position = divmod(index, len(sentences))
    return f"{sentences[position]} {sentences[(position + repetition) % len(sentences)]}"
