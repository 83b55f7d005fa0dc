// What bytes say: the charset of a document, and its text.
//
// The engine's own decoder knows UTF-8 and UTF-16 alone, so windows-1252 (which the web means by Latin-1 and ASCII too: WHATWG Encoding) is
// decoded here. Another charset is an error, never a guess.

const WINDOWS_1252 = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';
const LATIN = new Set(['windows-1252', 'iso-8859-1', 'latin1', 'us-ascii', 'ascii', 'cp1252', 'iso8859-1']);
const WIDE = new Set(['utf-16', 'utf-16le', 'utf-16be']);

/** The first KiB as text, enough for `<meta charset>`. */
const beginning = (bytes) => String.fromCharCode(...bytes.subarray(0, 1024));

/** The charset: a byte order mark, else the header's, else the document's own word, else UTF-8. */
export function charsetOf(type, bytes) {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return 'utf-8';
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be';
  const said = /charset\s*=\s*["']?([\w.:-]+)/i;
  return (said.exec(type) ?? /<meta[^>]{0,500}charset\s*=\s*["']?([\w.:-]+)/i.exec(beginning(bytes)) ?? [, 'utf-8'])[1].toLowerCase();
}

function latin(bytes) {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += 8192) {
    const piece = String.fromCharCode(...bytes.subarray(at, at + 8192));
    pieces.push(piece.replace(/[\u0080-\u009f]/g, (each) => WINDOWS_1252[each.charCodeAt(0) - 0x80]));
  }
  return pieces.join('');
}

function wide(bytes, bigEndian) {
  const units = new Uint16Array(bytes.length >> 1);
  for (let at = 0; at < units.length; at += 1) units[at] = bigEndian ? (bytes[2 * at] << 8) | bytes[2 * at + 1] : bytes[2 * at] | (bytes[2 * at + 1] << 8);
  const pieces = [];
  for (let at = 0; at < units.length; at += 8192) pieces.push(String.fromCharCode(...units.subarray(at, at + 8192)));
  return pieces.join('').replace(/^\uFEFF/, '');
}

/** The text; bytes that are none are replaced by U+FFFD. */
export function decoded(bytes, charset) {
  if (charset === 'utf-8' || charset === 'utf8') return new TextDecoder().decode(bytes);
  if (LATIN.has(charset)) return latin(bytes);
  if (WIDE.has(charset)) return wide(bytes, charset === 'utf-16be');
  throw `the document is in \`${charset}\`: only UTF-8, UTF-16 and windows-1252 are read`;
}
