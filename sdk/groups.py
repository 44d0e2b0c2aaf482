"""The groups under which `reid --help` lists the commands of all rooms."""

SITE = "Run a site"
PEOPLE = "Find people, and look after what is known of them"
MODEL = "Make a model"
MEASURE = "Measure"
