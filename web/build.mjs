// Builds what the package ships from these sources: page.js and worker.js into src/vaescope/explorer/assets.
// The same sources and the packages of package-lock.json give the same bytes.
import { build } from 'esbuild'
import { mkdir } from 'node:fs/promises'

const out = process.argv[2] ?? '../src/vaescope/explorer/assets'
const common = {
  bundle: true,
  minify: true,
  format: 'iife',
  platform: 'browser',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none',
}

await mkdir(out, { recursive: true })
await build({ ...common, entryPoints: ['src/main.ts'], outfile: `${out}/page.js` })
await build({ ...common, entryPoints: ['src/style.css'], outfile: `${out}/page.css` })
// onnxruntime-web looks up the place it was loaded from, of which a worker made of text has none
await build({
  ...common,
  entryPoints: ['src/worker.ts'],
  outfile: `${out}/worker.js`,
  define: { 'import.meta.url': '"blob:vaescope"' },
})
