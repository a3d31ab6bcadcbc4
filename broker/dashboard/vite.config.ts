// The build of the page, and the proxy of its calls during development.

import { defineConfig } from "vite";

export default defineConfig({
  // Relative, so that the page also works behind a path prefix.
  base: "./",
  build: {
    // The broker's content security policy allows files only: no data: URLs, no inline script.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    license: { fileName: "licenses.md" },
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8080" } },
});
