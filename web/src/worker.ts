// Runs encoder and decoder off the page's own thread. It is asked one thing at a time, see engine.ts.

import * as ort from 'onnxruntime-web/wasm'
import type { Answer, Question } from './engine'

const sessions: Partial<Record<'encoder' | 'decoder', ort.InferenceSession>> = {}

async function start(question: Extract<Question, { kind: 'start' }>): Promise<void> {
  ort.env.wasm.numThreads = 1
  ort.env.wasm.proxy = false
  ort.env.wasm.wasmBinary = question.wasm
  ort.env.logLevel = 'error'
  const options = { executionProviders: ['wasm'] }
  sessions.decoder = await ort.InferenceSession.create(new Uint8Array(question.decoder), options)
  // the encoder is wanted later than the first picture
}

async function run(
  half: 'encoder' | 'decoder',
  values: Float32Array,
  shape: number[],
  labels?: number[],
): Promise<Record<string, Float32Array>> {
  const session = sessions[half]
  if (!session) throw new Error(`the ${half} is not there`)
  const feeds: Record<string, ort.Tensor> = {
    [half === 'encoder' ? 'images' : 'latents']: new ort.Tensor('float32', values, shape),
  }
  if (labels && session.inputNames.includes('labels')) {
    feeds.labels = new ort.Tensor('int64', BigInt64Array.from(labels, BigInt), [labels.length])
  }
  const found = await session.run(feeds)
  return Object.fromEntries(Object.entries(found).map(([name, tensor]) => [name, tensor.data as Float32Array]))
}

onmessage = async ({ data: question }: MessageEvent<Question>): Promise<void> => {
  const answer: Answer = { id: question.id, outputs: {} }
  try {
    if (question.kind === 'start') await start(question)
    else if (question.kind === 'encoder') {
      sessions.encoder = await ort.InferenceSession.create(new Uint8Array(question.encoder), {
        executionProviders: ['wasm'],
      })
    } else {
      const begun = performance.now()
      answer.outputs = await run(
        question.kind === 'decode' ? 'decoder' : 'encoder',
        question.values,
        question.shape,
        question.labels,
      )
      answer.milliseconds = performance.now() - begun
    }
  } catch (error) {
    answer.error = String(error)
  }
  const buffers = [...new Set(Object.values(answer.outputs).map((output) => output.buffer))]
  ;(postMessage as (message: Answer, transfer: Transferable[]) => void)(answer, buffers as ArrayBuffer[])
}
