// Points by WebGL2: one draw call, one disc each with a smooth edge.

import type { View } from '../app'
import type { Look, Renderer } from './points'

const VERTEX = `#version 300 es
in vec2 place;
in vec4 colour;
uniform vec2 centre, scale;
uniform float size;
out vec4 ink;
void main() {
  ink = colour;
  gl_PointSize = size;
  gl_Position = colour.a > 0. ? vec4((place - centre) * scale, 0., 1.) : vec4(2., 2., 2., 1.);
}`

const FRAGMENT = `#version 300 es
precision highp float;
in vec4 ink;
uniform float size, radius, alpha;
out vec4 seen;
void main() {
  float far = length(gl_PointCoord - .5) * size;
  float opacity = ink.a * alpha * clamp(radius + .5 - far, 0., 1.);
  seen = vec4(ink.rgb * opacity, opacity);
}`

/**
 * A renderer on a canvas, or nothing where the browser has no WebGL2, after which the canvas may be of no other use.
 * WebGL that a processor stands in for is slower than the discs of flat.ts, and counts as none.
 */
export function webgl(canvas: HTMLCanvasElement): Renderer | null {
  const gl = canvas.getContext('webgl2', { antialias: false, depth: false })
  const program = gl && !slow(gl) && linked(gl)
  if (!gl || !program) return null
  const uniform = Object.fromEntries(
    ['centre', 'scale', 'size', 'radius', 'alpha'].map((name) => [name, gl.getUniformLocation(program, name)]),
  )
  const places = attribute(gl, program, 'place', 2, gl.FLOAT)
  const colours = attribute(gl, program, 'colour', 4, gl.UNSIGNED_BYTE)
  let count = 0
  gl.useProgram(program)
  gl.enable(gl.BLEND)
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA)
  const clear = (): void => {
    gl.viewport(0, 0, canvas.width, canvas.height)
    gl.clearColor(0, 0, 0, 0)
    gl.clear(gl.COLOR_BUFFER_BIT)
  }
  return {
    place(values) {
      count = values.length / 2
      places(values)
    },
    paint: (values) => colours(values),
    clear,
    draw(view, look) {
      clear()
      set(gl, uniform, view, look, canvas.width / view.width)
      gl.drawArrays(gl.POINTS, 0, count)
    },
  }
}

/** Whether a processor does the work. The option of WebGL to refuse that does not hold in Chromium. */
function slow(gl: WebGL2RenderingContext): boolean {
  const told = gl.getExtension('WEBGL_debug_renderer_info')
  const name = String(gl.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : gl.RENDERER))
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(name)
}

type Uniforms = Record<string, WebGLUniformLocation | null>

function set(gl: WebGL2RenderingContext, uniform: Uniforms, view: View, look: Look, ratio: number): void {
  const [x, y] = view.toPlane(view.width / 2, view.height / 2)
  gl.uniform2f(uniform.centre, x, y)
  gl.uniform2f(uniform.scale, (2 * view.scale) / view.width, (2 * view.scale) / view.height)
  gl.uniform1f(uniform.size, 2 * Math.ceil(look.radius * ratio + 1))
  gl.uniform1f(uniform.radius, look.radius * ratio)
  gl.uniform1f(uniform.alpha, look.alpha)
}

function linked(gl: WebGL2RenderingContext): WebGLProgram | null {
  const program = gl.createProgram()
  for (const [kind, text] of [
    [gl.VERTEX_SHADER, VERTEX],
    [gl.FRAGMENT_SHADER, FRAGMENT],
  ] as const) {
    const shader = gl.createShader(kind)
    if (!shader) return null
    gl.shaderSource(shader, text)
    gl.compileShader(shader)
    gl.attachShader(program, shader)
  }
  gl.linkProgram(program)
  return gl.getProgramParameter(program, gl.LINK_STATUS) ? program : null
}

/** A buffer for an attribute of the points, and what fills it. */
function attribute(
  gl: WebGL2RenderingContext,
  program: WebGLProgram,
  name: string,
  width: number,
  type: number,
): (values: ArrayBufferView) => void {
  const buffer = gl.createBuffer()
  const place = gl.getAttribLocation(program, name)
  gl.bindBuffer(gl.ARRAY_BUFFER, buffer)
  gl.enableVertexAttribArray(place)
  gl.vertexAttribPointer(place, width, type, type !== gl.FLOAT, 0, 0)
  return (values) => {
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer)
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW)
  }
}
