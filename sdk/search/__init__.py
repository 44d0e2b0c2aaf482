"""Search: who of a folder or a gallery is most like a person, as a list and as a picture."""

from sdk.search.find import Hit, Query, SearchResult, embed_files, queries_of_identity, query_of_images, search
from sdk.search.gallery import search_gallery
from sdk.search.picture import draw_results

__all__ = [
    "Hit",
    "Query",
    "SearchResult",
    "draw_results",
    "embed_files",
    "queries_of_identity",
    "query_of_images",
    "search",
    "search_gallery",
]
