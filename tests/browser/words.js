// Returns the words of the page that are broken within, though a narrow line would hold them, with
// all that folds opened. Leaves it as it was. Code may break anywhere, and so may scripts that put
// no spaces between words.
(() => {
  // Lines may end behind hyphens and slashes.
  const WORD = /[\p{Script=Latin}\p{Script=Cyrillic}\p{M}\d_.:%]+/gu;
  const faults = [];
  const folds = [...document.querySelectorAll('details')].map(details => [details, details.open]);
  for (const [details] of folds) details.open = true;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  while (walker.nextNode()) {
    const text = walker.currentNode;
    if (text.parentElement.closest('code, pre, script, style, dd')) continue;
    for (const word of text.data.matchAll(WORD)) {
      if (word[0].length > 16) continue;
      // Where no space stands before a quotation mark, it ties its word to the one before.
      if (text.data[word.index - 1] === '"') continue;
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      const lines = new Set([...range.getClientRects()].map(box => Math.round(box.bottom)));
      if (lines.size > 1) faults.push(`${text.parentElement.localName}: ${word[0]} is broken`);
    }
  }
  for (const [details, open] of folds) details.open = open;
  return faults;
})()
