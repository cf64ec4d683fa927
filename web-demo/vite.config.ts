import { defineConfig } from "vite";

// Names without hashes, because the gateway embeds the files by name. It revalidates them by their tags.
export default defineConfig({
  base: "/_demo/",
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      output: { entryFileNames: "app.js", chunkFileNames: "[name].js", assetFileNames: "app[extname]" },
    },
  },
  server: {
    // The pages are at /_demo/; everything else is the gateway's.
    proxy: Object.fromEntries(["^/(?!_demo/).+", "/_demo/namespaces.json"].map((path) => [path, { target: "http://127.0.0.1:8980", ws: true }])),
  },
});
