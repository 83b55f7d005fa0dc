// HTML's tokens: texts, tags that begin, tags that end.
//
// Forgiving as HTML's own tokenizer is: what never closes runs to the end. Every search goes forward, so the time is the document's length.

const RAW = new Set(['script', 'style', 'title', 'textarea']);
const ATTRIBUTE = /([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>`]+)))?/g;
// The names of the characters from U+00A0 to U+00FF, in order, then others that pages use.
const LATIN =
  'nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro para middot cedil sup1 ordm ' +
  'raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde ' +
  'Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave ' +
  'eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml';
const OTHERS = {
  amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", ndash: '–', mdash: '—', lsquo: '‘', rsquo: '’', sbquo: '‚', ldquo: '“', rdquo: '”', bdquo: '„',
  bull: '•', hellip: '…', prime: '′', euro: '€', trade: '™', larr: '←', uarr: '↑', rarr: '→', darr: '↓', harr: '↔', minus: '−', infin: '∞', ne: '≠',
  le: '≤', ge: '≥', asymp: '≈', lsaquo: '‹', rsaquo: '›', ensp: ' ', emsp: ' ', thinsp: ' ', zwnj: '\u200c', zwj: '\u200d', oelig: 'œ', OElig: 'Œ',
  scaron: 'š', Scaron: 'Š', alpha: 'α', beta: 'β', gamma: 'γ', delta: 'δ', pi: 'π', sigma: 'σ', omega: 'ω', mu: 'μ', lambda: 'λ', sum: '∑', radic: '√',
  check: '✓', star: '☆', nbsp: ' ', shy: '',
};
const NAMED = { ...Object.fromEntries(LATIN.split(' ').map((name, at) => [name, String.fromCharCode(0xa0 + at)])), ...OTHERS };

function numbered(digits, base) {
  const code = Number.parseInt(digits, base);
  const fine = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
  return fine ? String.fromCodePoint(code) : '\ufffd';
}

/** A text with its character references resolved; one that is not known stays as it is written. */
export function unescaped(text) {
  if (!text.includes('&')) return text;
  return text.replace(/&(?:#[xX]([0-9a-fA-F]{1,6})|#([0-9]{1,7})|([a-zA-Z][a-zA-Z0-9]{1,30}));?/g, (whole, hex, decimal, name) => {
    if (hex !== undefined) return numbered(hex, 16);
    if (decimal !== undefined) return numbered(decimal, 10);
    return Object.hasOwn(NAMED, name) ? NAMED[name] : whole;
  });
}

function attributesIn(text) {
  const found = {};
  for (const [, name, double, single, bare] of text.matchAll(ATTRIBUTE)) found[name.toLowerCase()] ??= unescaped(double ?? single ?? bare ?? '');
  return found;
}

/** Where the tag that begins before `at` ends: its `>` outside of quotes, or the first one where a quote never closes. */
function tagEnd(source, at, unclosed) {
  for (let here = at; ; ) {
    const next = source.slice(here, here + 4096).search(/[>"']/);
    if (next < 0 && here + 4096 >= source.length) return -1;
    here += next < 0 ? 4096 : next;
    if (next < 0) continue;
    const mark = source[here];
    if (mark === '>') return here;
    const closing = unclosed[mark] ? -1 : source.indexOf(mark, here + 1);
    unclosed[mark] ||= closing < 0;
    here = (closing < 0 ? here : closing) + 1;
  }
}

/** Where `</name` begins at or after `at`; the document's end where it does not. */
function rawEnd(source, name, at) {
  const closing = new RegExp(`</${name}(?=[\\s/>])`, 'gi');
  closing.lastIndex = at;
  return closing.exec(source)?.index ?? source.length;
}

/** A tag's token at `<`, and where reading goes on; undefined where it is no tag. */
function tagAt(source, at, unclosed) {
  const [, slash, name] = /^<(\/?)([a-zA-Z][^\s/>]*)/.exec(source.slice(at, at + 256)) ?? [];
  if (name === undefined) return undefined;
  const inside = at + 1 + slash.length + name.length;
  const end = tagEnd(source, inside, unclosed);
  const stop = end < 0 ? source.length : end;
  const low = name.toLowerCase();
  if (slash) return { token: { name: '', end: low }, next: stop + 1 };
  const text = source.slice(inside, stop);
  const token = { name: low, attributes: () => attributesIn(text), closed: text.endsWith('/') };
  if (!RAW.has(low)) return { token, next: stop + 1 };
  const raw = rawEnd(source, low, stop + 1);
  return { token: { ...token, closed: true, text: unescaped(source.slice(stop + 1, raw)) }, next: raw };
}

/** What begins with `<!` or `<?`: where it ends. */
function declarationEnd(source, at) {
  const comment = source.startsWith('<!--', at);
  const end = source.indexOf(comment ? '-->' : '>', at + 2);
  return end < 0 ? source.length : end + (comment ? 3 : 1);
}

/**
 * Gives each token to `visit`: `{text}`, `{name, attributes(), closed}` or `{name: '', end}`; a raw element's text comes with its beginning.
 * Ends where `visit` returns false.
 */
export function eachToken(source, visit) {
  const unclosed = {};
  for (let at = 0, going = true; going !== false && at < source.length; ) {
    if (source[at] !== '<') {
      const next = source.indexOf('<', at);
      const end = next < 0 ? source.length : next;
      going = visit({ text: unescaped(source.slice(at, end)) });
      at = end;
    } else if (source[at + 1] === '!' || source[at + 1] === '?') at = declarationEnd(source, at);
    else {
      const tag = tagAt(source, at, unclosed);
      going = visit(tag === undefined ? { text: '<' } : tag.token);
      at = tag === undefined ? at + 1 : tag.next;
    }
  }
}
