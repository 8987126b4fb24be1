"""The web pages.

    request ──▶ views/    one module for each page                                  ──▶ ledger
                    │  shell: how a page is declared and rendered
                    ├──▶ answers/   a result document as sentences, paths, matrix, differences   (pure)
                    ├──▶ pictures/  SVG of a path and of the network                            (pure)
                    ├──▶ forms/     bulk rows, estimate, placement, spreadsheet                 (pure)
                    └──▶ templates/, static/

Pages work with forms and links alone. If scripts are allowed, `static/live.js` updates pages over the event stream, and
htmx updates forms while the user types. Nothing is loaded from other servers, and pages have no inline script or style
(see `shell.CSP`).
"""
