//! A line for a line over tcp, in Rust: `std::io` over WASI's sockets, which this toolchain's `std::net` does not know.
//!
//! Debian's rustc builds it (wasm32-wasi, with the preview1 adapter for the rest of `std`). The imports are by hand: the
//! canonical ABI's core signatures, as `wasm-tools component embed --dummy` prints them.
#![allow(clippy::missing_safety_doc)]

use std::alloc::{alloc, realloc, Layout};
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[link(wasm_import_module = "wasi:sockets/instance-network@0.2.12")]
extern "C" {
    #[link_name = "instance-network"]
    fn instance_network() -> i32;
}

#[link(wasm_import_module = "wasi:sockets/ip-name-lookup@0.2.12")]
extern "C" {
    #[link_name = "resolve-addresses"]
    fn resolve_addresses(network: i32, name: *const u8, size: usize, ret: *mut Area);
    #[link_name = "[method]resolve-address-stream.subscribe"]
    fn lookup_subscribe(lookup: i32) -> i32;
    #[link_name = "[method]resolve-address-stream.resolve-next-address"]
    fn resolve_next_address(lookup: i32, ret: *mut Area);
    #[link_name = "[resource-drop]resolve-address-stream"]
    fn drop_lookup(lookup: i32);
}

#[link(wasm_import_module = "wasi:sockets/tcp-create-socket@0.2.12")]
extern "C" {
    #[link_name = "create-tcp-socket"]
    fn create_tcp_socket(family: i32, ret: *mut Area);
}

#[link(wasm_import_module = "wasi:sockets/tcp@0.2.12")]
extern "C" {
    #[link_name = "[method]tcp-socket.start-connect"]
    #[rustfmt::skip]
    fn start_connect(socket: i32, network: i32, family: i32, port: i32, a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32,
                     i: i32, scope: i32, ret: *mut Area);
    #[link_name = "[method]tcp-socket.finish-connect"]
    fn finish_connect(socket: i32, ret: *mut Area);
    #[link_name = "[method]tcp-socket.subscribe"]
    fn tcp_subscribe(socket: i32) -> i32;
    #[link_name = "[resource-drop]tcp-socket"]
    fn drop_socket(socket: i32);
}

#[link(wasm_import_module = "wasi:io/streams@0.2.12")]
extern "C" {
    #[link_name = "[method]input-stream.blocking-read"]
    fn blocking_read(input: i32, most: u64, ret: *mut Area);
    #[link_name = "[method]output-stream.blocking-write-and-flush"]
    fn blocking_write_and_flush(output: i32, at: *const u8, size: usize, ret: *mut Area);
    #[link_name = "[resource-drop]input-stream"]
    fn drop_input(input: i32);
    #[link_name = "[resource-drop]output-stream"]
    fn drop_output(output: i32);
}

#[link(wasm_import_module = "wasi:io/poll@0.2.12")]
extern "C" {
    #[link_name = "[method]pollable.block"]
    fn block(pollable: i32);
    #[link_name = "[resource-drop]pollable"]
    fn drop_pollable(pollable: i32);
}

const WOULD_BLOCK: u8 = 8;
const MOST: usize = 4096;

/// Where the host writes a result.
#[repr(C, align(8))]
struct Area([u8; 64]);

impl Area {
    fn of(write: impl FnOnce(*mut Area)) -> Area {
        let mut area = Area([0; 64]);
        write(&mut area);
        area
    }

    fn word(&self, at: usize) -> i32 {
        i32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    /// The result's handle at 4, or the socket's error at `error`.
    fn checked(self, what: &str, error: usize) -> Result<Area> {
        match self.0[0] {
            0 => Ok(self),
            _ => Err(Error::new(kind(self.0[error]), format!("{}: error {}", what, self.0[error]))),
        }
    }
}

fn kind(code: u8) -> ErrorKind {
    match code {
        1 => ErrorKind::PermissionDenied,
        WOULD_BLOCK => ErrorKind::WouldBlock,
        14 => ErrorKind::ConnectionRefused,
        _ => ErrorKind::Other,
    }
}

/// Ask until the answer is not `would-block`, waiting in between.
fn waited(pollable: i32, mut ask: impl FnMut() -> Result<Area>) -> Result<Area> {
    let answer = loop {
        match ask() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => unsafe { block(pollable) },
            answer => break answer,
        }
    };
    unsafe { drop_pollable(pollable) };
    answer
}

fn addresses(name: &str) -> Result<Vec<IpAddr>> {
    let begun = Area::of(|ret| unsafe { resolve_addresses(instance_network(), name.as_ptr(), name.len(), ret) });
    let lookup = begun.checked("lookup", 4)?.word(4);
    let mut found = Vec::new();
    let end = loop {
        let next = || Area::of(|ret| unsafe { resolve_next_address(lookup, ret) }).checked("lookup", 2);
        match waited(unsafe { lookup_subscribe(lookup) }, next) {
            Err(error) => break Err(error),
            Ok(area) if area.0[2] == 0 => break Ok(()),
            Ok(area) if area.0[4] == 0 => found.push(Ipv4Addr::from(<[u8; 4]>::try_from(&area.0[6..10]).unwrap()).into()),
            Ok(area) => {
                let part = |n: usize| u16::from_le_bytes([area.0[6 + 2 * n], area.0[7 + 2 * n]]);
                found.push(Ipv6Addr::new(part(0), part(1), part(2), part(3), part(4), part(5), part(6), part(7)).into())
            }
        }
    };
    unsafe { drop_lookup(lookup) };
    end.map(|_| found)
}

/// A connected socket; its streams are dropped before it.
struct TcpStream {
    socket: i32,
    streams: Option<(i32, i32)>,
}

impl TcpStream {
    fn connect(address: IpAddr, port: u16) -> Result<TcpStream> {
        let family = i32::from(address.is_ipv6());
        let made = Area::of(|ret| unsafe { create_tcp_socket(family, ret) }).checked("create", 4)?;
        let mut stream = TcpStream { socket: made.word(4), streams: None };
        let (socket, port) = (stream.socket, i32::from(port));
        let started = Area::of(|ret| unsafe {
            match address {
                IpAddr::V4(v4) => {
                    let n = v4.octets().map(i32::from);
                    start_connect(socket, instance_network(), 0, port, n[0], n[1], n[2], n[3], 0, 0, 0, 0, 0, 0, ret)
                }
                IpAddr::V6(v6) => {
                    let n = v6.segments().map(i32::from);
                    start_connect(socket, instance_network(), 1, port, 0, n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], 0, ret)
                }
            }
        });
        started.checked("connect", 1)?;
        let finish = || Area::of(|ret| unsafe { finish_connect(socket, ret) }).checked("connect", 4);
        let done = waited(unsafe { tcp_subscribe(socket) }, finish)?;
        stream.streams = Some((done.word(4), done.word(8)));
        Ok(stream)
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        unsafe {
            if let Some((input, output)) = self.streams {
                drop_input(input);
                drop_output(output);
            }
            drop_socket(self.socket);
        }
    }
}

impl Read for &TcpStream {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let input = self.streams.unwrap().0;
        let got = Area::of(|ret| unsafe { blocking_read(input, into.len().min(MOST) as u64, ret) });
        if got.0[0] != 0 {
            // `closed` is the end, anything else a connection that broke.
            return if got.0[4] == 1 { Ok(0) } else { Err(ErrorKind::ConnectionReset.into()) };
        }
        let bytes = unsafe { Vec::from_raw_parts(got.word(4) as *mut u8, got.word(8) as usize, got.word(8) as usize) };
        into[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

impl Write for &TcpStream {
    fn write(&mut self, from: &[u8]) -> Result<usize> {
        let (output, size) = (self.streams.unwrap().1, from.len().min(MOST));
        let done = Area::of(|ret| unsafe { blocking_write_and_flush(output, from.as_ptr(), size, ret) });
        if done.0[0] == 0 { Ok(size) } else { Err(ErrorKind::BrokenPipe.into()) }
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

fn converse(name: &str, port: u16, lines: &[String]) -> Result<Vec<String>> {
    let nobody = Err(Error::new(ErrorKind::NotFound, "the name has no address"));
    let stream = addresses(name)?.into_iter().fold(nobody, |made, one| made.or_else(|_| TcpStream::connect(one, port)))?;
    let mut answers = BufReader::new(&stream).lines();
    let mut heard = Vec::new();
    for line in lines {
        (&stream).write_all(format!("{line}\r\n").as_bytes())?;
        heard.push(answers.next().unwrap_or_else(|| Err(ErrorKind::UnexpectedEof.into()))?);
    }
    Ok(heard)
}

static mut RETURNED: Area = Area([0; 64]);

/// `result<list<string>, string>`: what is told lives until the host has read it, and the instance is of one call.
#[export_name = "converse"]
unsafe extern "C" fn exported(name: *mut u8, size: usize, port: i32, lines: *const [u32; 2], count: usize) -> *mut Area {
    let text = |at: *mut u8, size: usize| String::from_utf8(Vec::from_raw_parts(at, size, size)).unwrap();
    let given: Vec<String> = (0..count).map(|n| *lines.add(n)).map(|[at, size]| text(at as *mut u8, size as usize)).collect();
    let told = converse(&text(name, size), port as u16, &given);
    let words: [u32; 2] = match &told {
        Ok(heard) => {
            let list: Vec<(u32, u32)> = heard.iter().map(|line| (line.as_ptr() as u32, line.len() as u32)).collect();
            let list = list.leak();
            [list.as_ptr() as u32, list.len() as u32]
        }
        Err(error) => {
            let said = format!("{:?}: {error}", error.kind()).into_bytes().leak();
            [said.as_ptr() as u32, said.len() as u32]
        }
    };
    RETURNED.0[0] = u8::from(told.is_err());
    RETURNED.0[4..8].copy_from_slice(&words[0].to_le_bytes());
    RETURNED.0[8..12].copy_from_slice(&words[1].to_le_bytes());
    std::mem::forget(told);
    &mut RETURNED
}

extern "C" {
    fn __wasm_call_ctors();
}

/// A reactor's beginning. Named here, or the linker would have every export begin and end like a program's `main`.
#[export_name = "_initialize"]
unsafe extern "C" fn initialize() {
    __wasm_call_ctors()
}

/// The canonical ABI's allocator.
#[export_name = "cabi_realloc"]
pub unsafe extern "C" fn cabi_realloc(old: *mut u8, old_size: usize, align: usize, size: usize) -> *mut u8 {
    match (old.is_null(), size) {
        (_, 0) => align as *mut u8,
        (true, _) => alloc(Layout::from_size_align_unchecked(size, align)),
        (false, _) => realloc(old, Layout::from_size_align_unchecked(old_size, align), size),
    }
}
