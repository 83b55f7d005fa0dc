// Fetch a page and give it as text.
//
// Decides nothing about access: every request, a redirect's too, is the host's to allow. Rules: at most BODY_MOST bytes are read,
// REDIRECTS_MOST redirects followed, TEXT_MOST characters given; text alone, decoded as its charset says.
import { charsetOf, decoded } from './charset.js';
import { linksOf, textOf } from './markdown.js';

const BODY_MOST = 2 << 20;
const REDIRECTS_MOST = 5;
const TEXT_MOST = 200_000;
const TEXT_USUAL = 40_000;
const LINKS_MOST = 1000;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const HEADERS = { accept: 'text/html, text/*;q=0.9, application/json;q=0.9, */*;q=0.5', 'user-agent': 'sandbox-web/0.1' };

/** What a URL has to be, or an error that says what to write. */
function urlFrom(text, base) {
  let url;
  try {
    url = new URL(text, base);
  } catch {
    throw `\`${text}\` is no URL: write one such as https://example.com/page`;
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw `\`${text}\` is no http or https URL`;
  if (url.username || url.password) throw `\`${url.host}\`: a URL with a user name or password is not fetched; the policy's \`credential\` adds what a host needs`;
  url.hash = '';
  return url;
}

/** One request; the host's own words for a refusal come with the result, so this names the URL alone. */
async function request(url) {
  try {
    return await globalThis.fetch(url.href, { headers: HEADERS, redirect: 'manual' });
  } catch (error) {
    throw `no answer from ${url.href}: ${error.message ?? error}`;
  }
}

/** The answer after redirects, and where it came from. */
async function answer(text) {
  let url = urlFrom(text);
  for (let hops = 0; ; hops += 1) {
    const response = await request(url);
    const location = response.headers.get('location');
    if (!REDIRECTS.has(response.status) || location === null) return { url, response };
    if (hops === REDIRECTS_MOST) throw `${text} redirects more than ${REDIRECTS_MOST} times, last to ${location}`;
    await response.body?.cancel();
    url = urlFrom(location, url);
  }
}

/** At most BODY_MOST bytes of the body, and whether there were more. */
async function content(response) {
  const pieces = [];
  let size = 0;
  const reader = response.body?.getReader();
  while (reader !== undefined && size <= BODY_MOST) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value);
    size += value.length;
  }
  const cut = size > BODY_MOST;
  if (cut) await reader.cancel();
  const whole = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return { bytes: cut ? whole.subarray(0, BODY_MOST) : whole, cut };
}

const isHtml = (type) => /^(?:text\/html|application\/xhtml\+xml)\b/i.test(type);
const isText = (type) => type === '' || /^text\/|[/+](?:json|xml|yaml|javascript|ecmascript|x-ndjson|toml|x-sh|sql)\b/i.test(type);

/** A document whose text can be read: its text, type and address. */
async function documentAt(text) {
  const { url, response } = await answer(text);
  const type = response.headers.get('content-type') ?? '';
  if (!isText(type) && !isHtml(type)) {
    await response.body?.cancel();
    throw `${url.href} is \`${type}\`: only text is fetched`;
  }
  const { bytes, cut } = await content(response);
  const source = decoded(bytes, charsetOf(type, bytes));
  const html = isHtml(type) || (type === '' && /^\s*<(?:!doctype html|html)\b/i.test(source));
  return { url, response, type, source, html, cut };
}

/** Whether a text would be cut between the halves of a character. */
const splits = (text, at) => at > 0 && at < text.length && /[\uDC00-\uDFFF]/.test(text[at]) && /[\uD800-\uDBFF]/.test(text[at - 1]);

/** `most` characters from `start` on, and where to go on. */
function part(text, start, most) {
  if (start > text.length) throw `\`start\` is ${start}, and the text has ${text.length} characters`;
  if (most < 2 || most > TEXT_MOST) throw `\`most\` is 2 to ${TEXT_MOST}`;
  const from = splits(text, start) ? start - 1 : start;
  const end = Math.min(from + most, text.length);
  const to = splits(text, end) ? end - 1 : end;
  return { text: text.slice(from, to), next: to < text.length ? to : undefined };
}

async function getPage(address, form = 'markdown', start = 0, most = TEXT_USUAL) {
  const { url, response, type, source, html, cut } = await documentAt(address);
  const read = html ? textOf(source, url, form) : { text: source, whole: true };
  const text = (form === 'raw' ? source : read.text).toWellFormed?.() ?? read.text;
  return {
    url: url.href,
    status: response.status,
    contentType: type === '' ? undefined : type,
    title: read.title,
    ...part(text, start, most),
    total: text.length,
    cut: cut || !read.whole,
  };
}

async function getLinks(address) {
  const { url, source, html, type } = await documentAt(address);
  if (!html) throw `${url.href} is \`${type}\`: only HTML has links`;
  return linksOf(source, url).slice(0, LINKS_MOST);
}

export { getPage as fetch, getLinks as links };
