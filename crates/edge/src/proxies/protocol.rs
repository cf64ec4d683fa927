//! The PROXY protocol, versions 1 and 2: a header at the beginning of a connection, with the address of the client.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The first bytes of version 2. No other protocol begins with them.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1, with its end.
const MAX_LINE: usize = 107;
/// Longest rest of a header of version 2: addresses and extensions.
const MAX_REST: usize = 4096;

/// Reads the header of a connection, and nothing after it. Returns the address of the client, or `None` if the proxy speaks for itself, as for health
/// checks. A connection without a valid header must be closed.
pub async fn read(stream: &mut (impl AsyncRead + Unpin), timeout: Duration) -> io::Result<Option<SocketAddr>> {
    tokio::time::timeout(timeout, read_header(stream)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    if start == SIGNATURE { read_binary(stream).await } else { read_line(stream, &start).await }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the header of the PROXY protocol is malformed: {what}"))
}

/// Reads the rest of a line of version 1.
async fn read_line(stream: &mut (impl AsyncRead + Unpin), start: &[u8]) -> io::Result<Option<SocketAddr>> {
    if !start.starts_with(b"PROXY ") {
        return Err(malformed("there is none"));
    }
    let mut line = start.to_vec();
    // Byte by byte, because what follows belongs to the connection.
    while !line.ends_with(b"\r\n") {
        if line.len() == MAX_LINE {
            return Err(malformed("the line is too long"));
        }
        line.push(stream.read_u8().await?);
    }
    let text = std::str::from_utf8(&line).map_err(|_| malformed("it is no text"))?;
    let words: Vec<_> = text.trim_end_matches("\r\n").split(' ').collect();
    let (source, port) = match words[..] {
        ["PROXY", "UNKNOWN", ..] => return Ok(None),
        ["PROXY", "TCP4", source, _, port, _] => (source.parse::<Ipv4Addr>().ok().map(IpAddr::from), port),
        ["PROXY", "TCP6", source, _, port, _] => (source.parse::<Ipv6Addr>().ok().map(IpAddr::from), port),
        _ => return Err(malformed("the protocol or the number of fields")),
    };
    let source = source.ok_or_else(|| malformed("the address"))?;
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse::<u16>().ok().filter(|_| is_number).ok_or_else(|| malformed("the port"))?;
    Ok(Some(SocketAddr::new(source, port)))
}

/// Reads the rest of a header of version 2.
async fn read_binary(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let (command, family) = (stream.read_u8().await?, stream.read_u8().await?);
    let size = usize::from(stream.read_u16().await?);
    if size > MAX_REST {
        return Err(malformed("it is too long"));
    }
    let mut rest = vec![0; size];
    stream.read_exact(&mut rest).await?;
    match command {
        // The proxy speaks for itself.
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(malformed("the version or the command")),
    }
    let address = match family {
        // The proxy does not know the client.
        0x00 => return Ok(None),
        // TCP over IPv4: two addresses, two ports.
        0x11 => rest.first_chunk::<12>().map(|fields| {
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *fields;
            SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])))
        }),
        // TCP over IPv6.
        0x21 => rest.first_chunk::<34>().filter(|_| size >= 36).map(|fields| {
            let mut source = [0; 16];
            source.copy_from_slice(&fields[..16]);
            SocketAddr::from((source, u16::from_be_bytes([fields[32], fields[33]])))
        }),
        _ => return Err(malformed("the family; only TCP over IPv4 and IPv6 is supported")),
    };
    address.map(Some).ok_or_else(|| malformed("it is too short"))
}
