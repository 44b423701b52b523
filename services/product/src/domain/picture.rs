//! Uploaded pictures: decoded within bounds and encoded anew, so that what we serve is a picture, and only that.
//!
//! The bounds are the container's memory: one decode at a time may take about 100 MiB.

use std::{
    fmt::{self, Write as _},
    io::Cursor,
};

use bytes::Bytes;
use image::{
    DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader, Limits, codecs::jpeg::JpegEncoder,
    metadata::Orientation,
};
use sha2::{Digest as _, Sha256};

/// Longest side, in pixels.
pub const MAX_SIDE: u32 = 4096;
/// What is stored and served of one picture.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Decoded: a picture of the greatest size with an alpha channel.
const MAX_DECODED: u64 = 64 * 1024 * 1024;
/// A picture that has to be turned exists twice for a moment.
const MAX_TURNED: u64 = 48 * 1024 * 1024;
/// A progressive JPEG is held as coefficients beside its pixels.
const MAX_PROGRESSIVE_PIXELS: u64 = 8 * 1024 * 1024;
const JPEG_QUALITY: u8 = 85;

/// A picture as we store and serve it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The file.
    pub bytes: Bytes,
    /// Its name.
    pub key: Key,
}

/// The name of a picture: a digest of the file, and what kind of file it is. So a name never gets another picture, and nobody
/// guesses that of a draft without having the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    fn of(bytes: &[u8], extension: &str) -> Self {
        let mut key = Sha256::digest(bytes).iter().fold(String::new(), |mut key, byte| {
            // Writing to a string does not fail.
            let _ = write!(key, "{byte:02x}");
            key
        });
        key.push('.');
        Self(key + extension)
    }

    /// A name as a client sends it, if it can be one of ours. Older pictures have shorter ones.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (digest, extension) = text.split_once('.')?;
        let is_ours = matches!(digest.len(), 32 | 64)
            && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && matches!(extension, "jpg" | "png");
        is_ours.then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The media type of the file.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        if self.0.ends_with("png") { "image/png" } else { "image/jpeg" }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an upload is no picture for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPicture {
    /// Not JPEG, PNG or WebP.
    #[error("must be a JPEG, PNG or WebP picture")]
    Format,
    /// Starts like one, and is broken.
    #[error("cannot be decoded; is the file complete?")]
    Broken,
    /// Takes too much to decode or to store.
    #[error("is too large: at most 4096 x 4096 pixels and 8 MiB (a progressive JPEG: 8 million pixels)")]
    TooLarge,
}

/// Decodes `upload` and encodes it anew: JPEG stays JPEG, PNG stays PNG, WebP becomes one of them. Metadata such as the place
/// where a photo was taken is left behind, and the orientation it asks for is applied.
pub fn reencode(upload: Vec<u8>) -> Result<Encoded, BadPicture> {
    if progressive_pixels(&upload).is_some_and(|pixels| pixels > MAX_PROGRESSIVE_PIXELS) {
        return Err(BadPicture::TooLarge);
    }
    let (picture, format) = decode(upload)?;
    let encoded = encode(&picture, format).map_err(|_| BadPicture::Broken)?;
    if encoded.bytes.len() > MAX_BYTES { Err(BadPicture::TooLarge) } else { Ok(encoded) }
}

fn decode(upload: Vec<u8>) -> Result<(DynamicImage, ImageFormat), BadPicture> {
    let mut reader = ImageReader::new(Cursor::new(upload)).with_guessed_format().map_err(|_| BadPicture::Broken)?;
    let format = reader.format().ok_or(BadPicture::Format)?;
    if !matches!(format, ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP) {
        return Err(BadPicture::Format);
    }
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);

    let mut decoder = reader.into_decoder().map_err(|error| refuse(&error))?;
    // A picture whose metadata cannot be read is shown as it lies.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let limit = if orientation == Orientation::NoTransforms { MAX_DECODED } else { MAX_TURNED };
    if decoder.total_bytes() > limit {
        return Err(BadPicture::TooLarge);
    }
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| refuse(&error))?;
    picture.apply_orientation(orientation);
    Ok((picture, format))
}

fn encode(picture: &DynamicImage, format: ImageFormat) -> Result<Encoded, ImageError> {
    let mut bytes = Cursor::new(Vec::new());
    // Only PNG holds an alpha channel; for a photograph it is the larger one by far.
    if format == ImageFormat::Jpeg || (format == ImageFormat::WebP && !picture.color().has_alpha()) {
        picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY))?;
        return Ok(named(bytes.into_inner(), "jpg"));
    }
    picture.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(named(bytes.into_inner(), "png"))
}

fn named(bytes: Vec<u8>, extension: &str) -> Encoded {
    Encoded { key: Key::of(&bytes, extension), bytes: bytes.into() }
}

const fn refuse(error: &ImageError) -> BadPicture {
    if matches!(error, ImageError::Limits(_)) { BadPicture::TooLarge } else { BadPicture::Broken }
}

/// The number of pixels of a progressive JPEG (ITU-T T.81, B.2.2: the frame header behind marker SOF2).
fn progressive_pixels(file: &[u8]) -> Option<u64> {
    let mut rest = file.strip_prefix(&[0xFF, 0xD8])?;
    while let [0xFF, marker, after @ ..] = rest {
        match (marker, after) {
            // Any marker may be padded with fill bytes.
            (0xFF, _) => rest = &rest[1..],
            (0xC2, [_, _, _, y1, y2, x1, x2, ..]) => {
                let (height, width) = (u16::from_be_bytes([*y1, *y2]), u16::from_be_bytes([*x1, *x2]));
                return Some(u64::from(height) * u64::from(width));
            }
            (0xDA, _) => return None,
            (_, [l1, l2, ..]) => rest = after.get(usize::from(u16::from_be_bytes([*l1, *l2])).max(2)..)?,
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::new_rgb8(width, height).write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_picture_is_encoded_anew_and_what_hangs_on_to_it_is_gone() {
        let mut upload = file(40, 30, ImageFormat::Png);
        upload.extend(b"<script>alert(1)</script>");
        let encoded = reencode(upload).unwrap();
        assert_eq!(
            (encoded.key.content_type(), Key::parse(encoded.key.as_str())),
            ("image/png", Some(encoded.key.clone()))
        );
        assert!(!encoded.bytes.windows(6).any(|window| window == b"script"));
        let picture = image::load_from_memory(&encoded.bytes).unwrap();
        assert_eq!((picture.width(), picture.height()), (40, 30));
        assert_eq!(reencode(file(40, 30, ImageFormat::Jpeg)).unwrap().key.content_type(), "image/jpeg");
    }

    #[test]
    fn a_name_is_that_of_its_file_and_nothing_else_is_a_name() {
        let [small, large] = [8, 9].map(|side| reencode(file(side, side, ImageFormat::Png)).unwrap());
        assert_ne!(small.key, large.key);
        assert_eq!(small.key, reencode(small.bytes.to_vec()).unwrap().key);
        let digest = "0123456789abcdef".repeat(2);
        assert!(Key::parse(&format!("{digest}.jpg")).is_some());
        for other in ["", ".", ".jpg", "../.jpg", "..", &digest, &format!("{digest}.gif"), &format!("{digest}.jpg/..")]
        {
            assert_eq!(Key::parse(other), None, "{other}");
        }
        assert_eq!(Key::parse(&format!("{}.jpg", digest.to_uppercase())), None);
    }

    #[test]
    fn what_is_no_picture_or_a_broken_one_is_refused() {
        assert_eq!(reencode(b"<svg onload=alert(1)>".to_vec()), Err(BadPicture::Format));
        assert_eq!(reencode(b"GIF89a".to_vec()), Err(BadPicture::Format));
        let whole = file(400, 300, ImageFormat::Png);
        assert_eq!(reencode(whole[..whole.len() / 2].to_vec()), Err(BadPicture::Broken));
    }

    #[test]
    fn a_small_file_that_would_become_a_large_picture_is_refused() {
        assert_eq!(reencode(file(MAX_SIDE + 1, 1, ImageFormat::Png)), Err(BadPicture::TooLarge));
        assert!(reencode(file(MAX_SIDE, 1, ImageFormat::Png)).is_ok());
    }

    #[test]
    fn a_progressive_jpeg_is_measured_before_it_is_decoded() {
        let head = [0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 1, 2, 0xFF, 0xC2, 0, 17, 8, 0x10, 0, 0x0F, 0, 3];
        assert_eq!(progressive_pixels(&head), Some(4096 * 3840));
        assert_eq!(reencode(head.to_vec()), Err(BadPicture::TooLarge));
        assert_eq!(progressive_pixels(&file(8, 8, ImageFormat::Jpeg)), None);
    }

    /// The beginnings of files, each with some bytes that are not as they should be.
    fn damaged() -> impl Strategy<Value = Vec<u8>> {
        let formats = prop::sample::select(vec![ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP]);
        let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8);
        (formats, damage, any::<prop::sample::Index>()).prop_map(|(format, damage, end)| {
            let mut file = file(24, 16, format);
            for (place, byte) in damage {
                let place = place.index(file.len());
                file[place] = byte;
            }
            file.truncate(end.index(file.len() * 2).max(1));
            file
        })
    }

    proptest! {
        #[test]
        fn any_upload_becomes_a_picture_within_bounds_or_is_refused(
            upload in prop_oneof![4 => damaged(), 1 => any::<Vec<u8>>()],
        ) {
            if let Ok(encoded) = reencode(upload) {
                let picture = image::load_from_memory(&encoded.bytes).unwrap();
                prop_assert!(picture.width() <= MAX_SIDE && picture.height() <= MAX_SIDE && encoded.bytes.len() <= MAX_BYTES);
            }
        }

        #[test]
        fn the_size_of_any_jpeg_is_looked_for_without_a_panic(
            file in prop::collection::vec(prop_oneof![Just(0xFF_u8), Just(0xD8), Just(0xC2), any::<u8>()], 0..64),
        ) {
            let _ = progressive_pixels(&[&[0xFF, 0xD8], file.as_slice()].concat());
        }
    }
}
