"""What scrape() takes from a page: its visible content as HTML, or texts by selector. The rest needs no page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lifecycle.ports import Performed
from lifecycle_playwright.failures import Refused

if TYPE_CHECKING:
    from lifecycle import actions
    from lifecycle_playwright.steps import Steps
    from lifecycle_playwright.tabs import Page, Tabs

__all__ = ["extract", "html"]

#: A copy of an element without what is not shown, with whole URLs, and with what open shadow roots and frames of the
#: same origin show in the place where they show it. What was typed is no part of it: a field's value is no attribute.
_VISIBLE: Final = """root => {
  const paper = document.implementation.createHTMLDocument('')
  const inline = new Set(['a', 'abbr', 'b', 'button', 'code', 'em', 'i', 'label', 'small', 'span', 'strong', 'time'])
  const inside = node => {
    if (node.localName === 'slot' && node.assignedNodes().length) return node.assignedNodes()
    if (node.shadowRoot) return node.shadowRoot.childNodes
    try { if (node.contentDocument?.body) return [node.contentDocument.body] } catch { }
    return node.childNodes
  }
  const copy = node => {
    if (node.nodeType === Node.TEXT_NODE) return { made: paper.createTextNode(node.data) }
    if (node.nodeType !== Node.ELEMENT_NODE) return null
    const display = node.ownerDocument.defaultView?.getComputedStyle(node).display ?? ''
    if (display === 'none') return null
    const frame = node.localName === 'iframe' || node.localName === 'frame'
    const replaced = frame || node.localName === 'slot' || node.localName.includes('-')
    let made
    try { made = paper.createElement(replaced ? 'div' : node.localName) } catch { made = paper.createElement('div') }
    if (!frame) for (const { name, value } of node.attributes)
      if (!name.startsWith('on') && name !== 'value') try { made.setAttribute(name, value) } catch { }
    if (node.localName === 'a' && node.href) made.setAttribute('href', String(node.href))
    if (node.localName === 'img') made.setAttribute('src', node.currentSrc || node.src)
    for (const child of inside(node)) made.append(...copies(child))
    return { made, display }
  }
  // An element that is inline by its name and stands apart on the screen stands apart here, too.
  const copies = node => {
    const { made, display } = copy(node) ?? {}
    if (!made) return []
    if (!display || !inline.has(made.localName)) return [made]
    if (display.startsWith('inline-')) return [' ', made, ' ']
    if (display === 'inline' || display === 'contents') return [made]
    const block = paper.createElement('div')
    block.append(made)
    return [block]
  }
  return copies(root).map(part => part.outerHTML ?? part).join('')
}"""

#: Texts and attributes by CSS selectors, as one look at one moment; the first selector that can't serve is told.
_EXTRACT: Final = """(root, plan) => {
  const text = element => (element.innerText ?? element.textContent ?? '').replace(/\\s+/g, ' ').trim()
  const one = (element, wanted) => {
    if (wanted.fields) return fields(element, wanted.fields)
    if (!wanted.attribute) return text(element)
    const whole = ['href', 'src'].includes(wanted.attribute) && element[wanted.attribute]
    return typeof whole === 'string' && whole ? whole : element.getAttribute(wanted.attribute)
  }
  const fields = (scope, plan) => {
    const found = {}
    for (const [name, wanted] of Object.entries(plan)) {
      let all
      try { all = wanted.selector ? [...scope.querySelectorAll(wanted.selector)] : [scope] }
      catch { throw { name, wrong: 'selector' } }
      if (wanted.many) found[name] = all.map(element => one(element, wanted))
      else if (all.length > 1) throw { name, wrong: all.length }
      else if (all.length) found[name] = one(all[0], wanted)
    }
    return found
  }
  try { return { found: fields(root, plan) } }
  catch (error) { if (error.wrong) return error; throw error }
}"""


def html(tabs: Tabs, page: Page, action: actions.Scrape) -> Steps[Performed]:
    """The visible HTML of the page or of an element."""
    found = yield page.locator(action.selector or ":root").evaluate(_VISIBLE, timeout=action.timeout)
    return Performed(ok=True, message="scraped", data=found)


def extract(tabs: Tabs, page: Page, action: actions.Extract) -> Steps[Performed]:
    """The texts that the plan in *action* asks for, by the names of its fields."""
    root = page.locator(action.selector or ":root")
    answer = yield root.evaluate(_EXTRACT, dict(action.fields), timeout=action.timeout)
    if "found" in answer:
        return Performed(ok=True, message="scraped", data=answer["found"])
    name, wrong = answer["name"], answer["wrong"]
    if wrong == "selector":
        raise Refused("invalid", f"the selector of {name!r} is not valid CSS")
    raise Refused("ambiguous", f"the selector of {name!r} matches {wrong} elements; it must be one, or a list's")
