// Colours: classes have those of all pictures of the run; quantities are in viridis.

/** Eleven stops of viridis (CC0, by Smith, van der Walt and Firing), low to high. */
const VIRIDIS = [
  '#440154',
  '#482475',
  '#414487',
  '#355f8d',
  '#2a788e',
  '#21918c',
  '#22a884',
  '#44bf70',
  '#7ad151',
  '#bddf26',
  '#fde725',
]

/** Of what is marked on the map, light or dark, within a white rim. */
export const ACCENT = '#1f6fb8'

export type RGB = [number, number, number]

export const rgb = (hex: string): RGB => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)) as RGB

const STOPS = VIRIDIS.map(rgb)

/** The colour of a share from 0 to 1. */
export function viridis(share: number): RGB {
  const place = Math.min(1, Math.max(0, share)) * (STOPS.length - 1)
  const k = Math.min(STOPS.length - 2, Math.floor(place))
  return STOPS[k].map((value, c) => value + (place - k) * (STOPS[k + 1][c] - value)) as RGB
}

/** A difference from -1 (blue) over 0 (white) to 1 (red), for pictures of differences. */
export function diverging(value: number): RGB {
  const far = Math.min(1, Math.abs(value))
  const end: RGB = value < 0 ? [5, 48, 97] : [103, 0, 31]
  return end.map((c) => 255 + far * (c - 255)) as RGB
}
