"""`lifecycle demo`: real sessions on a small local site, ended in every way, and proof of what the log says of them.

| file        | holds                                                                  |
|-------------|------------------------------------------------------------------------|
| verb.py     | the command and what it prints                                         |
| cast.py     | the sessions and what is promised of each                              |
| scripts.py  | what runs in other processes: short scripts as a user would write them |
| director.py | starts the scripts, watches the log, kills what has to be killed       |
| progress.py | what is to be seen while it works                                      |
| proof.py    | rebuilt = live, and nothing left                                       |
| site.py     | the site                                                               |
"""
