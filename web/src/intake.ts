// How a picture of the user's gets in: dropped anywhere on the page, pasted, or chosen. It is read here and never sent.

import type { Contents } from './contents'
import { number } from './dom'

/** The most pixels that are decoded: a photograph has a quarter of them. */
const MOST = 50_000_000

/** How many pixels of a large picture are kept for one of the model's, along each side, until it is resampled. */
const SPARE = 16

/** The pixels of a picture. Errors are in words for the user. */
export async function pixels(file: Blob, [, height, width]: Contents['shape']): Promise<ImageData> {
  const name = file instanceof File && file.name ? file.name : 'this'
  if (!file.size) throw new Error(`${name} is empty`)
  const address = URL.createObjectURL(file)
  try {
    const image = await opened(address, name)
    const [wide, tall] = [image.naturalWidth, image.naturalHeight]
    if (!wide || !tall) throw new Error(`${name} says no size in pixels: save it as PNG`)
    if (wide * tall > MOST)
      throw new Error(
        `${name} has ${number((wide * tall) / 1e6, 0)} megapixels, at most ${MOST / 1e6} are read: scale it down`,
      )
    const factor = Math.max(1, Math.floor(Math.min(wide / (SPARE * width), tall / (SPARE * height))))
    return drawn(image, Math.ceil(wide / factor), Math.ceil(tall / factor))
  } finally {
    URL.revokeObjectURL(address)
  }
}

function opened(address: string, name: string): Promise<HTMLImageElement> {
  return new Promise((resolve, reject) => {
    const image = new Image()
    image.onload = () => resolve(image)
    image.onerror = () => reject(new Error(`${name} is no picture that this browser can read`))
    image.src = address
  })
}

function drawn(image: HTMLImageElement, width: number, height: number): ImageData {
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })
  if (!context) throw new Error('this browser has no memory left for the picture')
  context.imageSmoothingQuality = 'high'
  context.drawImage(image, 0, 0, width, height)
  return context.getImageData(0, 0, width, height)
}

/**
 * Hears of pictures that are dropped or pasted anywhere.
 *
 * @param take is given the picture, and what is to be said of others that came with it
 * @param refuse is given why there is none
 */
export function listen(take: (picture: Blob, note: string) => void, refuse: (why: string) => void): void {
  const given = (data: DataTransfer, how: string): void => {
    const files = [...data.files]
    const picture = files.find(({ type }) => type.startsWith('image/')) ?? files[0]
    if (picture) take(picture, files.length > 1 ? `The first picture of ${files.length} files is used.` : '')
    else refuse(nothing(data, how))
  }
  const over = (on: boolean): void => void document.body.classList.toggle('dropping', on)
  document.addEventListener('dragover', (event) => {
    if (!event.dataTransfer?.types.some((type) => type === 'Files' || type === 'text/uri-list')) return
    event.preventDefault()
    over(true)
  })
  document.addEventListener('dragleave', ({ relatedTarget }) => relatedTarget || over(false))
  document.addEventListener('drop', (event) => {
    event.preventDefault()
    over(false)
    if (event.dataTransfer) given(event.dataTransfer, 'dropped')
  })
  document.addEventListener('paste', (event) => {
    const typing = event.target instanceof Element && event.target.closest('input, textarea')
    if (event.clipboardData && !(typing && !event.clipboardData.files.length)) given(event.clipboardData, 'pasted')
  })
}

/** Why there is no picture in what came. */
function nothing(data: DataTransfer, how: string): string {
  const link = data.types.includes('text/uri-list')
  return link
    ? 'That is a link to a picture, and this page loads nothing: save the picture, then drop the file'
    : `Nothing was ${how} that is a picture`
}
