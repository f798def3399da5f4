// The points within the lasso: how many of which classes, and what is in their middle, as an image and as latents.

import type { App, Panel } from '../app'
import { calmly, explained, figure, h, number, picture } from '../dom'
import { random } from '../draws'
import { meanOf } from '../latents'
import { className, draw, lacking, thumbs } from '../points'
import { imageData, show } from '../pictures'
import { save } from '../save'

const HANDFUL = 12
const BARS = 10
/** So many images at most are averaged, at equal steps. */
const AVERAGED = 2000

export function regionPanel(app: App): Panel | null {
  const body = h('div', { class: 'stack' })
  const words =
    'The mean of the images is taken pixel by pixel, so it blurs what differs. The decoded mean is one image: the decoder at the mean of their latents. Where the two agree, the images hardly differ or the decoder blurs as well; where the decoded mean is sharper, it is something typical of the region that need not be in the data.'
  let shown: number[] | null = null
  const fill = calmly(() => {
    const { region, tab } = app.store.now
    if (tab !== 'region' || region === shown) return
    shown = region
    body.replaceChildren(...(region.length ? all(app, region) : nothing()))
  })
  app.store.on(['region', 'tab'], fill)
  return { tab: 'region', title: 'region', element: h('div', {}, body, explained(words)) }
}

const nothing = (): Node[] => [
  h(
    'p',
    { class: 'hint' },
    'Choose the lasso above the map and draw around some dots to see what they have in common.',
  ),
]

function all(app: App, region: number[]): Node[] {
  return [heading(app, region), mix(app, region), means(app, region), scores(app, region), handful(app, region)].filter(
    (part) => part !== null,
  )
}

function heading(app: App, region: number[]): HTMLElement {
  const share = (100 * region.length) / app.data.count
  const said = `${number(region.length, 0)} ${region.length === 1 ? 'image' : 'images'}, ${number(share, share < 10 ? 1 : 0)} % of all shown`
  const name = `${app.contents.run}-region.csv`
  return h(
    'div',
    { class: 'row head' },
    h('h2', {}, said),
    h('button', { onclick: () => save(name, new Blob([table(app, region)], { type: 'text/csv' })) }, 'save as CSV'),
    h('button', { onclick: () => app.store.set({ region: [] }) }, 'clear'),
  )
}

/** Index, class and scores of the points, as a file that spreadsheets read. */
function table(app: App, region: number[]): string {
  const { data } = app
  const names = Object.keys(data.scores)
  const quoted = (text: string): string => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
  const line = (point: number): string =>
    [
      data.index[point],
      ...(data.labels ? [quoted(className(app, point))] : []),
      ...names.map((name) => data.scores[name][point].toPrecision(6)),
    ].join(',')
  return `${[['index', ...(data.labels ? ['class'] : []), ...names].join(','), ...region.map(line)].join('\n')}\n`
}

/** How many points of each class, the most first. */
function counts({ data, contents }: App, region: number[]): [number, number][] {
  const found = new Map<number, number>()
  for (const point of region) found.set(data.labels?.[point] ?? -1, (found.get(data.labels?.[point] ?? -1) ?? 0) + 1)
  return [...found].filter(([label]) => label < contents.classes.length).sort((a, b) => b[1] - a[1])
}

const percent = (share: number): string => (share < 0.01 ? '< 1 %' : `${number(100 * share, 0)} %`)

/** The classes as bars. */
function mix(app: App, region: number[]): HTMLElement | null {
  if (!app.data.labels) return null
  const found = counts(app, region)
  const most = found[0][1]
  const bars = found.slice(0, BARS).map(([label, count]) =>
    h(
      'div',
      { class: 'bar' },
      h('span', { class: 'name' }, app.contents.classes[label] ?? 'not known'),
      h(
        'span',
        { class: 'track', 'aria-hidden': 'true' },
        h('span', {
          style: `width: ${(100 * count) / most}%; background: ${app.contents.colours[label] ?? 'var(--soft)'}`,
        }),
      ),
      h('span', { class: 'number' }, `${number(count, 0)}`),
      h('span', { class: 'number soft' }, percent(count / region.length)),
    ),
  )
  const rest = found.slice(BARS)
  const more = rest.length
    ? h(
        'p',
        { class: 'soft small' },
        `and ${number(
          rest.reduce((sum, [, count]) => sum + count, 0),
          0,
        )} of ${rest.length} further classes`,
      )
    : null
  return h('div', { class: 'bars' }, ...bars, more)
}

/** The mean of the images, the decoded mean of their latents, and how these differ. */
function means(app: App, region: number[]): HTMLElement {
  const { album, engine, contents } = app
  const [mean, decoded] = [
    picture('mean of the images of the region'),
    picture('image decoded at the mean of their latents'),
  ]
  const some = region.filter((_, k) => k % Math.ceil(region.length / AVERAGED) === 0)
  const average = album?.mean(some, contents.shape)
  if (average) show(mean, imageData(average, contents.shape))
  const said = h('p', { class: 'small' }, lacking(app))
  const label = Math.max(0, counts(app, region)[0]?.[0] ?? 0)
  void engine?.decode(meanOf(app.data, region), 'region', label).then((image) => {
    if (!image || app.store.now.region !== region) return
    draw(app, decoded, image)
    if (average) said.replaceChildren(compared(average, image, contents.shape))
  })
  const caption = contents.model.labels === 'none' ? 'decoded mean' : `decoded mean, as ${contents.classes[label]}`
  const of = some.length < region.length ? `mean of ${number(some.length, 0)} images` : 'mean image'
  const figures = [average && figure(mean, of), engine && figure(decoded, caption)]
  return h('div', { class: 'stack' }, h('div', { class: 'pictures' }, ...figures), said)
}

/** How far two images are apart, and which is sharper. */
function compared(mean: Float32Array, decoded: Float32Array, shape: readonly [number, number, number]): string {
  const apart = Math.sqrt(mean.reduce((sum, value, i) => sum + (value - decoded[i]) ** 2, 0) / mean.length)
  const ratio = edges(decoded, shape) / (edges(mean, shape) || 1)
  const sharp =
    Math.abs(ratio - 1) < 0.1
      ? 'both are about as sharp'
      : ratio > 1
        ? `the decoded mean is sharper, with edges ${number(ratio)} times as strong`
        : `the decoded mean is smoother, with edges ${number(ratio)} times as strong`
  return `They differ by ${number(apart, 3)} (RMSE of greys in [0, 1]); ${sharp}.`
}

/** The mean difference of pixels side by side, in rows and columns. */
function edges(image: Float32Array, [channels, height, width]: readonly [number, number, number]): number {
  let sum = 0
  for (let i = 0; i < image.length; i++) {
    if ((i + 1) % width) sum += Math.abs(image[i + 1] - image[i])
    if (Math.floor(i / width) % height < height - 1) sum += Math.abs(image[i + width] - image[i])
  }
  return sum / (channels * height * width)
}

/** The mean of each score, beside that of all points. */
function scores({ data, contents }: App, region: number[]): HTMLElement {
  const mean = (values: Float32Array, points?: number[]): number =>
    points
      ? points.reduce((sum, point) => sum + values[point], 0) / points.length
      : values.reduce((a, b) => a + b, 0) / values.length
  const lines = Object.entries(data.scores).map(([name, values]) => {
    const { title, unit } = contents.scores[name]
    const digits = unit === 'nats' ? 1 : 3
    return h(
      'tr',
      {},
      h('th', { scope: 'row', title: unit }, unit === 'nats' ? `${title}, nats` : title),
      h('td', {}, number(mean(values, region), digits)),
      h('td', {}, number(mean(values), digits)),
    )
  })
  const head = h(
    'thead',
    {},
    h(
      'tr',
      {},
      h('th', { scope: 'col' }, 'mean'),
      h('th', { scope: 'col' }, 'region'),
      h('th', { scope: 'col' }, 'all'),
    ),
  )
  return h('table', {}, head, h('tbody', {}, ...lines))
}

/** A few of the points at random. */
function handful(app: App, region: number[]): HTMLElement {
  const place = h('div')
  let seed = 1
  const fill = (): void => place.replaceChildren(thumbs(app, chosen(region, seed++), 'handful'))
  fill()
  const others = region.length > HANDFUL ? h('button', { onclick: fill }, 'others') : null
  return h(
    'div',
    { class: 'stack' },
    h(
      'div',
      { class: 'row head' },
      h('h3', {}, region.length > HANDFUL ? `${HANDFUL} of them at random` : 'All of them'),
      others,
    ),
    place,
  )
}

function chosen(region: number[], seed: number): number[] {
  const uniform = random(seed)
  const left = [...region]
  return Array.from(
    { length: Math.min(HANDFUL, left.length) },
    () => left.splice(Math.floor(uniform() * left.length), 1)[0],
  )
}
