"""What nets may be used for, and under which terms: the law's, those of the data, and their own."""

from typing import Any

SOURCES = {
    "fer2013": (
        "FER2013 (Goodfellow et al., 2013): 48-pixel gray faces from the web, each with one annotator's label. "
        "Of the CSV file, Training, PublicTest and PrivateTest are training, validation and test.",
        "FER2013 was published for a challenge and is for research; the pictures belong to their owners.",
        "The labels are those of single annotators, for pictures found by searching for such words, and many are "
        "doubtful. Faces turned far away, covered or badly lit are hardly in the data.",
    ),
    "ferplus": (
        "FER+ (Barsoum et al., 2016): FER2013's 48-pixel gray faces from the web, each with ten annotators' votes. "
        "Validation and test keep the faces with an official majority (PublicTest and PrivateTest).",
        "FER+'s votes are under the MIT licence; FER2013's pictures are for research and belong to their owners.",
        "The faces that ten annotators could not agree upon are left out of validation and test, so real pictures are "
        "harder than these figures say. Faces turned far away, covered or badly lit are hardly in the data.",
    ),
}
UNKNOWN = "Licence and limits of the data are not known here: see where the data come from."

FOR = (
    "For research, teaching and play: to study training and augmentation, to show how such nets look at faces, to try "
    "interfaces."
)
NOT_FOR = (
    "Not for judging, hiring, policing, grading, diagnosing or watching people, nor for anything that a person would "
    "have to bear the consequences of. A face does not tell what a person feels: the net predicts which of these "
    "labels annotators would give to a picture. How it errs on people of different age, sex, skin or culture was not "
    "measured, because the data do not say."
)
LAW = (
    "In the European Union, Article 5(1)(f) of the AI Act forbids systems that infer the emotions of people at work "
    "or in education, except for medical or safety reasons. Where such a system may be used, Article 50(3) has "
    "whoever uses it inform the people whom it looks at."
)
NO_ADVICE = "This is no legal advice."
BEFORE_A_CAMERA = (  # what the console says
    "Tell the people before the camera that a program looks at their faces, and what for (AI Act, Article 50(3)); at "
    "work and in education leave it (Article 5(1)(f)). No picture leaves this machine; {kept}."
)


def source_of(training: dict[str, Any]) -> tuple[str, str, str]:
    """Return what is known of a training's data: what they are, under which licence, and the limits of the labels."""
    name = training.get("dataset")
    return SOURCES.get(name, (f"The dataset {name}.", UNKNOWN, ""))


def licence_of(training: dict[str, Any]) -> str:
    """Return the licence of a net, and of the data that it learned from."""
    return f"The weights: MIT, as the code. {source_of(training)[1]}".rstrip()
