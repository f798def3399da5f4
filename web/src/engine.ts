// The model as functions that answer later: decode latents, encode images. The worker does one thing at a time; what is
// still waiting when something newer of the same slot is asked is dropped, so that a picture follows the pointer.

import { bytes } from './blocks'
import type { Contents } from './contents'
import { settled } from './latents'

export type Question =
  | { kind: 'start'; id: number; wasm: ArrayBuffer; decoder: ArrayBuffer }
  | { kind: 'encoder'; id: number; encoder: ArrayBuffer }
  | { kind: 'decode' | 'encode'; id: number; values: Float32Array; shape: number[]; labels?: number[] }

export interface Answer {
  id: number
  outputs: Record<string, Float32Array>
  milliseconds?: number
  error?: string
}

/** What the encoder says of an image: the centre of its posterior, its deviation and classes, where there are such. */
export interface Posterior {
  mean: Float32Array
  scale?: Float32Array
  probabilities?: Float32Array
}

interface Waiting {
  slot: string
  /** Less is sooner. */
  rank: number
  question: Question
  since: number
  transfer: Transferable[]
  settle: (answer: Answer | null) => void
}

/** How soon an answer is wanted: what follows the pointer comes before what fills the background. */
const SOON = 0
export const LATER = 1
/** How long the background waits at most, in milliseconds: a walk that is played asks for something at all times. */
const AT_MOST = 250

export class Engine {
  private readonly worker: Worker
  private readonly waiting: Waiting[] = []
  private busy: Waiting | null = null
  private next = 0
  private encoder: Promise<Answer | null> | null = null
  /** How long the latest decoding took, in milliseconds; nothing of the first one, which takes longer than all others. */
  took: number | null = null
  private decoded = 0

  private constructor(
    private readonly contents: Contents,
    program: Uint8Array<ArrayBuffer>,
  ) {
    this.worker = new Worker(URL.createObjectURL(new Blob([program], { type: 'text/javascript' })))
    this.worker.onmessage = ({ data }: MessageEvent<Answer>) => this.answered(data)
    this.worker.onerror = (event) =>
      this.answered({
        id: this.busy?.question.id ?? -1,
        outputs: {},
        error: event.message || 'the browser starts no worker here',
      })
  }

  /** Starts the runtime and reads the decoder. */
  static async start(contents: Contents): Promise<Engine> {
    const [program, wasm, decoder] = await Promise.all([bytes('worker'), bytes('runtime'), bytes('decoder')])
    const engine = new Engine(contents, program)
    const question: Question = { kind: 'start', id: 0, wasm: wasm.buffer, decoder: decoder.buffer }
    await engine.ask('start', SOON, question, [wasm.buffer, decoder.buffer])
    return engine
  }

  /**
   * Images of latents.
   *
   * @param z latents, row by row, (N, D)
   * @param slot what asks: of one slot only the newest question is answered
   * @param label the class to decode in, for a model that knows labels: one for all, or one each
   * @returns greys in [0, 1], (N, C, H, W), or null where something newer was asked
   */
  async decode(
    z: Float32Array,
    slot: string,
    label: number | number[] = 0,
    rank: number = SOON,
  ): Promise<Float32Array | null> {
    const count = z.length / this.contents.model.latents
    const labels = typeof label === 'number' ? Array<number>(count).fill(label) : label
    const values = settled(z, this.contents.model)
    const question: Question = { kind: 'decode', id: 0, values, shape: [count, this.contents.model.latents], labels }
    const answer = await this.ask(slot, rank, question, [values.buffer])
    if (answer?.milliseconds !== undefined && this.decoded++) this.took = answer.milliseconds
    return answer ? answer.outputs.images : null
  }

  /**
   * The posteriors of images.
   *
   * @param images greys in [0, 1], (1, C, H, W)
   * @param label the class of the image, for a model that is told it
   */
  async encode(images: Float32Array, slot: string, label = 0): Promise<Posterior | null> {
    this.encoder ??= bytes('encoder').then(({ buffer }) =>
      this.ask('encoder', SOON, { kind: 'encoder', id: 0, encoder: buffer }, [buffer]),
    )
    await this.encoder
    const values = images.slice()
    const question: Question = { kind: 'encode', id: 0, values, shape: [1, ...this.contents.shape], labels: [label] }
    const answer = await this.ask(slot, SOON, question, [values.buffer])
    return answer ? (answer.outputs as unknown as Posterior) : null
  }

  private ask(slot: string, rank: number, question: Question, transfer: Transferable[]): Promise<Answer | null> {
    return new Promise((resolve, reject) => {
      const settle = (answer: Answer | null): void =>
        answer?.error ? reject(new Error(answer.error)) : resolve(answer)
      for (let i = this.waiting.length - 1; i >= 0; i--) {
        if (this.waiting[i].slot === slot) this.waiting.splice(i, 1)[0].settle(null)
      }
      question.id = this.next++
      this.waiting.push({ slot, rank, question, since: performance.now(), transfer, settle })
      this.send()
    })
  }

  private send(): void {
    if (this.busy || !this.waiting.length) return
    const now = performance.now()
    const turn = ({ rank, since }: Waiting): number => (now - since > AT_MOST ? -1 : rank)
    const soonest = this.waiting.reduce((best, one, k) => (turn(one) < turn(this.waiting[best]) ? k : best), 0)
    this.busy = this.waiting.splice(soonest, 1)[0]
    this.worker.postMessage(this.busy.question, this.busy.transfer)
  }

  private answered(answer: Answer): void {
    const done = this.busy
    this.busy = null
    this.send()
    done?.settle(answer)
  }
}
