// Looks at how the page lies in a window of a width, with all that folds closed and then opened,
// and returns what is wrong with it, as sentences. Leaves it as it was.
(async width => {
  const faults = [];
  const root = document.documentElement;
  // A new size takes effect with one of the next frames.
  for (let frame = 0; frame < 100 && root.clientWidth !== width; frame++)
    await new Promise(requestAnimationFrame);
  if (root.clientWidth !== width) faults.push(`the window is ${root.clientWidth} wide`);
  const named = element =>
    `<${element.localName} class="${element.getAttribute('class') ?? ''}"> ` +
    `"${element.textContent.trim().slice(0, 60)}"`;
  const scrolls = element => /auto|scroll/.test(getComputedStyle(element).overflowX);
  const withinScroller = element => {
    for (let up = element.parentElement; up && up !== document.body; up = up.parentElement)
      if (scrolls(up)) return true;
    return false;
  };
  const look = folds => {
    if (root.scrollWidth > width) faults.push(`${folds}: the page is ${root.scrollWidth} wide`);
    for (const element of document.body.querySelectorAll('*')) {
      if (element.ownerSVGElement || !element.checkVisibility()) continue;
      const box = element.getBoundingClientRect();
      // What is for screen readers alone is a pixel somewhere.
      if (box.width <= 1 || box.height <= 1) continue;
      if ((box.left < -0.5 || box.right > width + 0.5) && !withinScroller(element))
        faults.push(`${folds}: ${named(element)} reaches from ${box.left} to ${box.right}`);
      if (element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0 &&
          /hidden|clip/.test(getComputedStyle(element).overflowX))
        faults.push(`${folds}: ${named(element)} is cut at ${element.clientWidth} ` +
          `of ${element.scrollWidth}`);
    }
  };
  const folds = [...document.querySelectorAll('details')].map(details => [details, details.open]);
  for (const opened of [false, true]) {
    for (const [details] of folds) details.open = opened;
    look(opened ? 'opened' : 'closed');
  }
  for (const [details, open] of folds) details.open = open;
  return faults;
})
