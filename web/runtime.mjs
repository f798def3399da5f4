// Compresses the WebAssembly of onnxruntime-web: zopfli is slow (half a minute), and smaller by a twentieth than gzip -9.
import { gzip } from '@gfx/zopfli'
import { readFile, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'

const out = process.argv[2] ?? '../src/vaescope/explorer/assets'
const wasm = await readFile('node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm')
await writeFile(`${out}/runtime.wasm.gz`, await promisify(gzip)(wasm, { numiterations: 3 }))
