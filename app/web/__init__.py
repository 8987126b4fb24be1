"""The pages: what people see in a browser.

    request ──▶ *_page, ask, many, board, door (views) ──▶ ledger
                    │  shell: how a page is declared and put together
                    ├──▶ answer/    a result document as sentences, ways, matrix, differences    (pure)
                    ├──▶ pictures/  SVG of a path and of the network                            (pure)
                    ├──▶ batch, estimate, placement, spreadsheet                                (pure)
                    └──▶ templates/, static/

Pages work by forms and links alone; `static/live.js` keeps them current over the event stream, htmx answers while one types.
Nothing is loaded from elsewhere, and nothing on a page is script or style of its own (see `shell.CSP`).
"""
