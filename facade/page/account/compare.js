// A range over two pictures says how much of the first one is shown; keys move it as they move every range.
for (const compare of document.querySelectorAll(".compare")) {
  const range = compare.querySelector("input")
  const show = () => compare.style.setProperty("--share", `${range.value}%`)
  range?.addEventListener("input", show)
}
