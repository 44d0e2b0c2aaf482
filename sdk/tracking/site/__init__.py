"""What a site teaches about its people while it runs, without a label: who is likely to be whom there.

Evidence that two tracklets are one person is a log-likelihood ratio in nats, the sum of two parts. What they look
like (`likeness.py`): the distance of their features once what their cameras add is taken away (`cameras.py`), held
against what strangers are apart at this site. And when they were seen (`returns.py`): how often a person comes to a
camera so soon after another, against how many come there anyway. Each begins with a prior, that of the model
(`prior.py`), and ends with what was seen here.
"""

from sdk.tracking.site.evidence import Evidence, Pairing, SiteModel, Witnesses
from sdk.tracking.site.prior import SitePrior

__all__ = ["Evidence", "Pairing", "SiteModel", "SitePrior", "Witnesses"]
