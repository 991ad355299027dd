"""The console: a page at `/` of the HTTP port, for a person with a browser and an API key.

The page is a client of the API and has no access of its own. `page` has its source, which runs as it is: ES modules
that import by relative paths, without a build. `page/routes.js` lists the screens, one module each in `page/screens`;
`page/core` has what each screen needs, `page/parts` what several show. `vendor` has code of others, unchanged but for
one import, with its licences and checksums. `files` reads all of it, `pages` answers requests. docs/console.md says how
to add a screen.
"""
