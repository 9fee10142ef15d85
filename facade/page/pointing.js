// Tells where in the photograph was clicked, or which box was dragged: shares of its width and height, 0..1.
const CLICK_PIXELS = 6
let from = null

const place = (event) => {
  const { left, top, width, height } = element.querySelector(".pointing").getBoundingClientRect()
  const share = (value) => Math.min(1, Math.max(0, value))
  return [share((event.clientX - left) / width), share((event.clientY - top) / height)]
}
const box = (one, other) => [0, 1].map((axis) => Math.min(one[axis], other[axis])).concat(
  [0, 1].map((axis) => Math.max(one[axis], other[axis])))
const isClick = (event) => Math.hypot(event.clientX - from.x, event.clientY - from.y) < CLICK_PIXELS
const band = () => element.querySelector(".band")

element.addEventListener("pointerdown", (event) => {
  const picture = event.target.closest(".pointing")
  if (!picture || event.button) return
  event.preventDefault()
  from = { place: place(event), x: event.clientX, y: event.clientY }
  picture.setPointerCapture(event.pointerId)
})
element.addEventListener("pointermove", (event) => {
  if (!from || isClick(event)) return
  const [left, top, right, bottom] = box(from.place, place(event)).map((share) => 100 * share)
  Object.assign(band().style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` })
  band().hidden = false
})
element.addEventListener("pointerup", (event) => {
  if (!from) return
  const told = isClick(event) ? { point: place(event), away: event.shiftKey } : { box: box(from.place, place(event)) }
  from = null
  trigger("select", told)
})
element.addEventListener("pointercancel", () => {
  from = null
  band().hidden = true
})
