import { defaultClientConditions, defineConfig, type Plugin } from 'vite';

/** What the built page may load and call: its own files. So nothing that is typed or dropped into it can leave. */
const policy = [
  "default-src 'self'",
  "img-src 'self' data:",
  // uPlot places its parts by style attributes.
  "style-src 'self' 'unsafe-inline'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

const contentSecurityPolicy: Plugin = {
  name: 'content-security-policy',
  apply: 'build',
  transformIndexHtml: () => [
    {
      tag: 'meta',
      attrs: { 'http-equiv': 'Content-Security-Policy', content: policy },
      injectTo: 'head-prepend',
    },
  ],
};

export default defineConfig({
  root: import.meta.dirname,
  // Works in any folder of any server.
  base: './',
  resolve: { conditions: ['@graftjs/source', ...defaultClientConditions] },
  plugins: [contentSecurityPolicy],
  worker: { format: 'es' },
  // The model's files are fetched, which the policy allows of files and not of data: addresses.
  build: { target: 'es2023', assetsInlineLimit: 0, chunkSizeWarningLimit: 1000 },
});
