// HTML as Markdown, as plain text, or as its links.
//
// One pass over the tokens, no tree: what a reader sees is kept, in order; scripts, styles and the like are left out. It is as forgiving
// as a browser about what is not closed, and ends after TIME_MOST, whatever is in the document.
import { eachToken } from './tokens.js';

const BLOCKS = new Set(
  ('address article aside blockquote body center dd details dialog div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header ' +
    'hgroup html legend li main nav ol p pre search section summary table tbody td tfoot th thead tr ul').split(' '),
);
const LEFT_OUT = new Set('canvas iframe math noscript object script select style svg template'.split(' '));
// Milliseconds: what a page may cost; the rest of one that is larger is left out.
const TIME_MOST = 4000;
// Deeper than this nobody reads, and each level costs time.
const OPEN_MOST = 16;
const NESTED_MOST = 16;
const MARKS = { b: '**', strong: '**', em: '*', i: '*', del: '~~', s: '~~', code: '`', kbd: '`', samp: '`' };

/** An address as an absolute URL, or nothing where it leads nowhere else. */
export function absolute(href, base) {
  if (href === undefined || /^\s*(?:#|javascript:|data:|mailto:|tel:)/i.test(href)) return undefined;
  try {
    return new URL(href.trim(), base).href;
  } catch {
    return undefined;
  }
}

/** What is written so far: finished lines, and the pieces of the block at hand. */
class Writer {
  constructor(base, marked) {
    this.base = base;
    this.marked = marked;
    this.title = undefined;
    this.lines = [];
    this.pieces = [];
    this.open = []; // links and marks that are not closed yet, and the piece that each begins at
    this.lists = []; // of each open list the next number, 0 where it has none
    this.marker = ''; // what stands before the next line: of a heading or an item
    this.tight = false; // the line before was of the same list
    this.quotes = 0;
    this.quoted = 0; // of the line before
    this.pre = 0;
    this.language = '';
    this.cells = null; // of the row at hand
    this.rows = 0;
  }

  /** The block's text, which begins anew. */
  taken() {
    const text = this.pieces.join('');
    this.pieces = [];
    this.open = [];
    return text;
  }

  /** End the block: its lines go out, each behind what its quotes and lists ask for. */
  flush() {
    const whole = this.taken();
    const text = this.pre ? whole.replace(/^\n/, '').trimEnd() : whole.split('\n').map((line) => line.trim()).join('\n').trim();
    if (text === '') return;
    const fence = this.pre > 0 && this.marked;
    const body = fence ? ['```' + this.language, ...text.split('\n'), '```'] : text.split('\n');
    const quote = '> '.repeat(this.quotes);
    const hanging = '  '.repeat(this.lists.length);
    const item = this.lists.length > 0 && this.marker !== '';
    if (this.lines.length > 0 && !(item && this.tight)) this.lines.push('> '.repeat(Math.min(this.quotes, this.quoted)).trimEnd());
    this.quoted = this.quotes;
    const first = item ? hanging.slice(2) + this.marker : hanging + this.marker;
    for (const [at, line] of body.entries()) this.lines.push(quote + (at === 0 ? first : hanging) + line);
    this.marker = '';
    this.tight = this.lists.length > 0;
  }

  text(value) {
    if (value === '') return;
    const joined = this.pre ? value : value.replace(/[ \t\n\r\f]+/g, ' ');
    const last = this.pieces.at(-1);
    const apart = this.pre || (last !== undefined && !last.endsWith(' ') && !last.endsWith('\n'));
    const piece = apart || !joined.startsWith(' ') ? joined : joined.slice(1);
    if (piece !== '') this.pieces.push(piece);
  }

  /** Puts `before` and `after` around the pieces since `from`, spaces left outside. */
  wrap(from, before, after) {
    const inside = this.pieces.splice(from).join('');
    const text = inside.trim();
    if (text === '') this.text(inside);
    else this.pieces.push(inside.slice(0, inside.length - inside.trimStart().length) + before + text + after, inside.slice(inside.trimEnd().length));
    if (this.pieces.at(-1) === '') this.pieces.pop();
  }

  begin(name, attributes) {
    if (BLOCKS.has(name)) this.beginBlock(name, attributes);
    else if (name === 'br') this.pieces.push('\n');
    else if (name === 'hr') this.rule();
    else if (name === 'img') this.image(attributes());
    else if (name === 'code' && this.pre) this.language ||= /\blang(?:uage)?-([\w+-]{1,30})/.exec(attributes().class ?? '')?.[1] ?? '';
    else if ((name === 'a' || name in MARKS) && this.open.length < OPEN_MOST) {
      this.open.push({ name, from: this.pieces.length, href: name === 'a' ? attributes().href : undefined });
    }
  }

  end(name) {
    if (BLOCKS.has(name)) return this.endBlock(name);
    const at = this.open.findLastIndex((each) => each.name === name);
    if (at < 0) return undefined;
    const [{ from, href }] = this.open.splice(at);
    const url = name === 'a' ? absolute(href, this.base) : undefined;
    if (this.marked && url !== undefined) this.wrap(from, '[', `](${url})`);
    else if (this.marked && name in MARKS) this.wrap(from, MARKS[name], MARKS[name]);
    return undefined;
  }

  rule() {
    this.flush();
    if (this.marked && this.cells === null) this.lines.push('', '---');
  }

  image({ alt, src }) {
    if (!alt?.trim()) return;
    const url = absolute(src, this.base);
    this.text(this.marked && url !== undefined ? `![${alt.trim()}](${url})` : alt);
  }

  beginBlock(name, attributes) {
    if (name === 'td' || name === 'th') return this.beginCell();
    if (name === 'tr') return this.beginRow();
    if (this.cells !== null) return this.text(' ');
    this.flush();
    if (/^h[1-6]$/.test(name)) this.marker = this.marked ? `${'#'.repeat(Number(name[1]))} ` : '';
    else if (name === 'ul') this.beginList(0);
    else if (name === 'ol') this.beginList(Number.parseInt(attributes().start ?? '1', 10) || 1);
    else if (name === 'li') this.beginItem();
    else if (name === 'blockquote') this.quotes = Math.min(this.quotes + (this.marked ? 1 : 0), NESTED_MOST);
    else if (name === 'pre') (this.pre += 1), (this.language = '');
    return undefined;
  }

  beginList(next) {
    if (this.lists.length < NESTED_MOST) this.lists.push(next);
  }

  beginItem() {
    const next = this.lists.at(-1) ?? 0;
    this.marker = next === 0 ? '- ' : `${next}. `;
    if (next !== 0) this.lists[this.lists.length - 1] = next + 1;
  }

  endBlock(name) {
    if (name === 'td' || name === 'th') return this.endCell();
    if (name === 'tr') return this.endRow();
    if (this.cells !== null && name !== 'table') return this.text(' ');
    if (name === 'table') this.endRow(), (this.rows = 0);
    this.flush();
    if (name === 'ul' || name === 'ol') this.lists.pop(), (this.tight = this.lists.length > 0);
    else if (name === 'blockquote') this.quotes = Math.max(0, this.quotes - 1);
    else if (name === 'pre') this.pre = Math.max(0, this.pre - 1);
    if (name !== 'p' && name !== 'div') this.marker = '';
    return undefined;
  }

  beginCell() {
    if (this.pieces.length > 0) this.endCell();
    this.cells ??= [];
  }

  beginRow() {
    if (this.cells === null) this.flush();
    else this.endRow();
    this.cells = [];
  }

  endCell() {
    const text = this.taken().replace(/\s+/g, ' ').trim();
    if (this.cells !== null || text !== '') (this.cells ??= []).push(text);
  }

  endRow() {
    if (this.cells !== null && this.pieces.length > 0) this.endCell();
    const cells = this.cells ?? [];
    this.cells = null;
    if (!cells.some((cell) => cell !== '')) return;
    if (this.rows === 0 && this.lines.length > 0) this.lines.push('');
    this.lines.push(this.marked ? `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |` : cells.join('\t'));
    if (this.rows === 0 && this.marked) this.lines.push(`|${' --- |'.repeat(cells.length)}`);
    this.rows += 1;
    this.tight = false;
  }
}

/** Feeds the tokens that a reader sees to `writer`, which has the title and the base address too; whether there was time for all of them. */
function read(source, writer) {
  const deadline = Date.now() + TIME_MOST;
  let left = '';
  let count = 0;
  let whole = true;
  eachToken(source, (token) => {
    if (left !== '') left = token.end === left ? '' : left;
    else if (token.name === undefined) writer.text(token.text);
    else if (token.end !== undefined) writer.end(token.end);
    else if (token.name === 'title') writer.title ??= token.text.replace(/\s+/g, ' ').trim() || undefined;
    else if (token.name === 'base') writer.base = absolute(token.attributes().href, writer.base) ?? writer.base;
    else if (LEFT_OUT.has(token.name)) left = token.closed ? '' : token.name;
    else writer.begin(token.name, token.attributes);
    count += 1;
    if (count % 256 === 0) whole = Date.now() < deadline;
    return whole;
  });
  writer.flush();
  return whole;
}

/** A page's title and its text: Markdown, or plain where `form` is `text`. */
export function textOf(source, base, form) {
  const writer = new Writer(base, form === 'markdown');
  const whole = read(source, writer);
  return { title: writer.title, text: writer.lines.join('\n').trim(), whole };
}

/** The links of a page in their order, each address once. */
export function linksOf(source, base) {
  const found = new Map();
  const writer = new Writer(base, false);
  const plain = writer.end.bind(writer);
  writer.end = (name) => {
    const last = name === 'a' ? writer.open.findLast((each) => each.name === 'a') : undefined;
    const url = last && absolute(last.href, writer.base);
    const text = last && writer.pieces.slice(last.from).join('').replace(/\s+/g, ' ').trim();
    if (url && !found.get(url)) found.set(url, text);
    plain(name);
  };
  read(source, writer);
  return [...found].map(([url, text]) => ({ text, url }));
}
