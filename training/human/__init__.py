"""The comparison with people: the same questions to a person and to the model, asked on a local web page."""

from training.human.answers import Answers
from training.human.questionnaire import Questionnaire
from training.human.questions import Question, build_questions
from training.human.server import serve
from training.human.statistics import Comparison, compare

__all__ = ["Answers", "Comparison", "Question", "Questionnaire", "build_questions", "compare", "serve"]
