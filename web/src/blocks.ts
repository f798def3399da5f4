// Bytes within the page: `<script type="application/octet-stream" id=NAME data-packed=gzip>` with base64 inside. Packed
// as `halves`, all bytes at even places come before all those at odd ones, which compresses better.

import type { Contents, Layout } from './contents'

const element = (name: string): HTMLElement => {
  const found = document.getElementById(`block-${name}`)
  if (!found) throw new Error(`the page holds no block ${name}`)
  return found
}

/** The bytes of a block. Its text is let go of, as it is read once. */
export async function bytes(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const block = element(name)
  const packed = decode64(block.textContent ?? '')
  block.textContent = ''
  if (!block.dataset.packed) return packed
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'))
  const whole = new Uint8Array(await new Response(stream).arrayBuffer())
  return block.dataset.packed === 'halves' ? woven(whole) : whole
}

/** The first half at even places, the second at odd ones. */
function woven(halves: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(halves.length)
  const middle = (halves.length + 1) >> 1
  for (let i = 0; i < middle; i++) out[2 * i] = halves[i]
  for (let i = middle; i < halves.length; i++) out[2 * (i - middle) + 1] = halves[i]
  return out
}

function decode64(text: string): Uint8Array<ArrayBuffer> {
  const direct = (Uint8Array as unknown as { fromBase64?: (text: string) => Uint8Array<ArrayBuffer> }).fromBase64
  return direct ? direct.call(Uint8Array, text) : Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
}

export const contents = (): Contents => JSON.parse(element('contents').textContent ?? '') as Contents

/** Differences along the first axis as the numbers themselves, which begin anew after the largest. */
function summed(values: Uint8Array | Uint16Array | Float32Array, row: number): void {
  for (let i = row; i < values.length; i++) values[i] += values[i - row]
}

/** An array as floats, row by row. */
export async function floats(name: string, layout: Layout): Promise<Float32Array<ArrayBuffer>> {
  const { buffer } = await bytes(name)
  const raw = { u8: Uint8Array, u16: Uint16Array, f32: Float32Array }[layout.type]
  const given = new raw(buffer)
  if (layout.steps) summed(given, given.length / layout.shape[0])
  const { low, high } = layout
  if (!low || !high) return Float32Array.from(given)
  const most = layout.type === 'u8' ? 255 : 65535
  const out = new Float32Array(given.length)
  for (let i = 0; i < out.length; i++) {
    const k = i % low.length
    const value = low[k] + ((high[k] - low[k]) * given[i]) / most
    out[i] = layout.log ? Math.exp(value) : value
  }
  return out
}
