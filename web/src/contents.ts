// What the page is given: one JSON block that describes it, and blocks of bytes that it names.

/** How an array lies in its block: rows of little-endian numbers, which a range turns into what they stand for. */
export interface Layout {
  /** The type of a number. */
  type: 'u8' | 'u16' | 'f32'
  shape: number[]
  /** What 0 and the largest number stand for, one for each last axis or one for all; absent: the numbers themselves. */
  low?: number[]
  high?: number[]
  /** Whether the range is of logarithms. */
  log?: boolean
  /** Whether along the first axis these are differences, of numbers that begin anew after the largest. */
  steps?: boolean
}

/** Pictures side by side in sheets, row by row; each sheet is a block with an image file. */
export interface Sheets {
  /** Blocks, in order. */
  blocks: string[]
  /** Of one picture, in pixels; it may be smaller than those of the model. */
  height: number
  width: number
  /** Pictures in a row of a sheet, and in a whole sheet. */
  columns: number
  each: number
  count: number
  /** Whether the pictures are exact or compressed with a loss. */
  exact: boolean
}

/** A curve of training. */
export interface Curve {
  steps: number[]
  distortion: (number | null)[]
  rate: (number | null)[]
  loss: (number | null)[]
}

/** How the latents of validation images and the reconstructions of a few of them came about. */
export interface Travel {
  /** A row for each frame: step, epoch, distortion, rate (null where there is none). */
  numbers: (number | null)[][]
  /** The originals of P images, if they may be shown, and, frame after frame, their reconstructions. */
  originals: Sheets | null
  pictures: Sheets
  followed: number
  names: string[]
}

export interface Contents {
  version: string
  /** The run folder's name, what the image set is called, and a caption with step and loss. */
  run: string
  title: string
  caption: string
  /** Channels, rows and columns of an image. */
  shape: [number, number, number]
  /** The names of the classes, none without labels, their colours, and a note where colours come back. */
  classes: string[]
  colours: string[]
  cycle: string
  model: {
    latents: number
    /** What it is, in a few words each. */
    prior: string
    posterior: string
    likelihood: string
    network: string
    parameters: number
    /** An autoencoder, whose posterior is a point. */
    point: boolean
    /** Whether the posterior is normal with independent latents, so that one deviation is an ellipse along the axes. */
    normal: boolean
    /** Whether encoder and decoder want a class, or the encoder finds one itself. */
    labels: 'none' | 'given' | 'found'
    /** Where latents may be: anywhere, on the unit sphere, or each at one of so many even levels from -1 to 1. */
    support: 'all' | 'sphere' | number
    /** Whether the model was trained on pixels drawn as 0 or 1 with the greys as their chances. */
    binary: boolean
    /** Why there are no programs to run, or nothing. */
    missing: string
    /** How an image becomes what the model is shown: from folders, how pictures were brought to their size. */
    fit: 'crop' | 'pad' | 'stretch' | 'exact'
  }
  prior: {
    /** Whether it is the standard normal, so that the page can draw from it. */
    standard: boolean
    /** Temperatures of the draws in the array `draws`, with shape (T, N, D). */
    temperatures: number[]
    /** For each latent the values at these probabilities. */
    probabilities: number[]
    quantiles: number[][]
  }
  /** Test images: how many of how many are shown, at distances that are as equal as can be. */
  points: { count: number; of: number; split: string }
  /** Names of the quantities of each point in nats or greys that there are, with their words. */
  scores: Record<string, { title: string; unit: string; worse: 'high' | 'low' }>
  arrays: Record<string, Layout>
  sheets: Sheets | null
  travel: Travel | null
  curves: { train: Curve; validation: Curve; floor: number | null } | null
  /** Static pictures, as blocks with WebP files, for a browser that cannot run the model. */
  pictures: { block: string; caption: string }[]
}
