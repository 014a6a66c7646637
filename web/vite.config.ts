import { defineConfig } from "vite";

export default defineConfig({
  // Relative addresses, so that the page also works under a path of a reverse proxy.
  base: "./",
  build: {
    outDir: "../gateway/static",
    emptyOutDir: true,
    target: "es2022",
    // An inlined asset would be a data: address, which the page's content security policy refuses.
    assetsInlineLimit: 0,
    // The description of the API is large and only for those who open it.
    chunkSizeWarningLimit: 2000,
    rolldownOptions: { input: ["index.html", "docs.html"] },
    modulePreload: { polyfill: false },
  },
});
