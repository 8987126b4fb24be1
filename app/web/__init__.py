"""The pages: what people see in a browser.

    request ──▶ views/    one module for each page                                  ──▶ ledger
                    │  shell: how a page is declared and put together
                    ├──▶ answers/   a result document as sentences, ways, matrix, differences    (pure)
                    ├──▶ pictures/  SVG of a path and of the network                            (pure)
                    ├──▶ forms/     bulk rows, estimate, placement, spreadsheet                 (pure)
                    └──▶ templates/, static/

Pages work by forms and links alone; `static/live.js` keeps them current over the event stream, htmx answers while one types.
Nothing is loaded from elsewhere, and nothing on a page is script or style of its own (see `shell.CSP`).
"""
