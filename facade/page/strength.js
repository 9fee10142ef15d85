// Shows the result in another strength: before + strength x (after - before), drawn over the picture at strength 1.
(strength) => {
  const [before, after] = document.querySelectorAll("#slider img")
  if (!before || !after) return strength
  const state = (window.concordStrength ??= { drawn: null, original: null })
  if (after.src !== state.drawn) state.original = after.src
  state.wanted = strength
  if (state.busy) return strength
  state.busy = true
  const pixels = async (source) => {
    const image = new Image()
    image.src = source
    await image.decode()
    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight)
    const context = canvas.getContext("2d", { willReadFrequently: true })
    context.drawImage(image, 0, 0)
    return context.getImageData(0, 0, canvas.width, canvas.height)
  }
  const draw = async () => {
    if (state.key !== before.src + state.original) {
      state.pictures = await Promise.all([before.src, state.original].map(pixels))
      state.key = before.src + state.original
    }
    let done
    do {
      done = state.wanted
      const [one, other] = state.pictures
      const blended = new ImageData(one.width, one.height)
      for (let at = 0; at < one.data.length; at++) blended.data[at] = one.data[at] + done * (other.data[at] - one.data[at])
      const canvas = new OffscreenCanvas(one.width, one.height)
      canvas.getContext("2d").putImageData(blended, 0, 0)
      const drawn = URL.createObjectURL(await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 }))
      if (state.drawn) URL.revokeObjectURL(state.drawn)
      after.src = state.drawn = drawn
    } while (done !== state.wanted)
  }
  draw().finally(() => { state.busy = false })
  return strength
}
