// The note beside the point under the pointer: its class, its number and its picture.

import type { App, View } from '../app'
import { h, picture } from '../dom'
import { imageName } from '../points'

export class Tip {
  private readonly image = picture('image of the point', 'small')
  private readonly words = h('span')
  readonly element = h('div', { class: 'tip', hidden: true, 'aria-hidden': 'true' }, this.image, this.words)

  constructor(private readonly app: App) {
    this.image.hidden = !app.album
  }

  show(point: number | null, view: View, place: [number, number]): void {
    const [left, top] = view.toScreen(...place)
    const seen = left >= 0 && top >= 0 && left <= view.width && top <= view.height
    this.element.hidden = point === null || !seen
    if (point === null || !seen) return
    this.words.replaceChildren(...named(this.app, point).map((line) => h('span', {}, line)))
    this.app.album?.show(this.image, point)
    this.move(view, left, top)
  }

  /** Above and right of the point, or on the other side where there is no room. */
  private move(view: View, left: number, top: number): void {
    const { offsetWidth: width, offsetHeight: height } = this.element
    const x = left + 16 + width > view.width ? left - 16 - width : left + 16
    const y = top - 12 - height < 0 ? top + 12 : top - 12 - height
    this.element.style.transform = `translate(${Math.round(Math.max(0, x))}px, ${Math.round(Math.min(y, view.height - height))}px)`
  }
}

/** What a point is called: its class, where there is one, and its place in the set. */
export function named(app: App, point: number): string[] {
  const { data, contents } = app
  const label = data.labels ? (contents.classes[data.labels[point]] ?? 'class unknown') : null
  return label === null ? [imageName(app, point)] : [label, imageName(app, point)]
}
