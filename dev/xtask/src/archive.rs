//! Images without a build daemon: `FROM scratch` plus files, written as the archive that `docker save` writes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::cache::hex;

/// One image: layers and how to run them.
pub struct Image {
    /// Its full name, registry included.
    pub name: String,
    /// What its file system is made of, lowest first.
    pub layers: Vec<Layer>,
    /// The `config` part of its description: entrypoint, user, environment, labels.
    pub config: Value,
}

/// One layer of a file system.
#[derive(Clone)]
pub enum Layer {
    /// Files of the machine, at other places.
    Files(Vec<FileInImage>),
    /// A whole tar.
    Tar(PathBuf),
}

/// A file in a layer.
#[derive(Clone)]
pub struct FileInImage {
    /// In the image, without the leading slash.
    pub path: String,
    content: Content,
    mode: u32,
}

/// Where a file's content comes from.
#[derive(Clone)]
pub enum Content {
    /// A file of the machine.
    Of(PathBuf),
    /// This text.
    Text(&'static str),
}

/// An image whose parts are known by their digests.
pub struct Sealed {
    /// The image's name.
    pub name: String,
    /// The digest of its description, which names every layer's: equal means the same image.
    pub digest: String,
    description: Vec<u8>,
    layers: Vec<(String, u64, Layer)>,
}

impl Image {
    /// Changes when a file that the image is made from is written; telling takes no reading.
    pub fn fingerprint(&self) -> Result<String> {
        let mut parts = vec![self.config.to_string()];
        for layer in &self.layers {
            match layer {
                Layer::Tar(path) => parts.push(stamp(path)?),
                Layer::Files(files) => {
                    for FileInImage { path, content, mode } in files {
                        parts.push(format!("{path} {mode:o}"));
                        parts.push(match content {
                            Content::Of(path) => stamp(path)?,
                            Content::Text(text) => (*text).to_owned(),
                        });
                    }
                }
            }
        }
        Ok(hex(&Sha256::digest(parts.join("\0"))))
    }

    /// Computes the digests. The same files give the same digests: there is no time in an image.
    pub fn seal(self) -> Result<Sealed> {
        let layers = self
            .layers
            .into_iter()
            .map(|layer| {
                let mut digester = Digester::default();
                layer.write(&mut digester)?;
                Ok((hex(&digester.hash.finalize()), digester.size, layer))
            })
            .collect::<Result<Vec<_>>>()?;
        let digests: Vec<String> = layers.iter().map(|(digest, ..)| format!("sha256:{digest}")).collect();
        let description = serde_json::to_vec(&json!({
            "architecture": "amd64",
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": digests},
        }))?;
        Ok(Sealed { name: self.name, digest: hex(&Sha256::digest(&description)), description, layers })
    }
}

/// Writes images into one archive; a layer that several share is in it once.
pub fn write(images: &[Sealed], output: &mut dyn Write) -> Result<()> {
    let mut written: Vec<&str> = Vec::new();
    let mut manifest = Vec::new();
    for image in images {
        let files: Vec<String> = image.layers.iter().map(|(digest, ..)| format!("{digest}.tar")).collect();
        for (file, (digest, size, layer)) in files.iter().zip(&image.layers) {
            if !written.contains(&digest.as_str()) {
                entry(output, file, *size, 0o644, &mut |output| layer.write(output))?;
                written.push(digest);
            }
        }
        let description = format!("{}.json", image.digest);
        bytes(output, &description, 0o644, &image.description)?;
        manifest.push(json!({"Config": description, "RepoTags": [image.name], "Layers": files}));
    }
    bytes(output, "manifest.json", 0o644, &serde_json::to_vec(&manifest)?)?;
    end(output)
}

impl Layer {
    fn write(&self, output: &mut dyn Write) -> Result<()> {
        match self {
            Self::Tar(path) => {
                let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
                io::copy(&mut file, output)?;
                Ok(())
            }
            Self::Files(files) => {
                let mut folders: Vec<&str> = Vec::new();
                for file in files {
                    for (end, _) in file.path.match_indices('/') {
                        let folder = &file.path[..=end];
                        if !folders.contains(&folder) {
                            header(output, folder, 0, 0o755, EntryType::Directory)?;
                            folders.push(folder);
                        }
                    }
                    file.write(output)?;
                }
                end(output)
            }
        }
    }
}

impl FileInImage {
    /// Describes a file.
    pub fn new(path: &str, content: Content, mode: u32) -> Self {
        Self { path: path.into(), content, mode }
    }

    fn write(&self, output: &mut dyn Write) -> Result<()> {
        match &self.content {
            Content::Text(text) => bytes(output, &self.path, self.mode, text.as_bytes()),
            Content::Of(path) => {
                let size = fs::metadata(path).with_context(|| format!("{} is not there", path.display()))?.len();
                entry(output, &self.path, size, self.mode, &mut |output| {
                    io::copy(&mut File::open(path)?, output)?;
                    Ok(())
                })
            }
        }
    }
}

fn stamp(path: &Path) -> Result<String> {
    let file = fs::metadata(path).with_context(|| format!("{} is not there", path.display()))?;
    Ok(format!("{} {} {:?}", path.display(), file.len(), file.modified()?))
}

fn bytes(output: &mut dyn Write, path: &str, mode: u32, content: &[u8]) -> Result<()> {
    entry(output, path, content.len() as u64, mode, &mut |output| Ok(output.write_all(content)?))
}

fn entry(
    output: &mut dyn Write,
    path: &str,
    size: u64,
    mode: u32,
    content: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    header(output, path, size, mode, EntryType::Regular)?;
    content(output)?;
    let padding = usize::try_from(size.next_multiple_of(512) - size)?;
    output.write_all(&[0; 512][..padding])?;
    Ok(())
}

fn header(output: &mut dyn Write, path: &str, size: u64, mode: u32, kind: EntryType) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(path)?;
    header.set_size(size);
    header.set_mode(mode);
    header.set_entry_type(kind);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    output.write_all(header.as_bytes())?;
    Ok(())
}

fn end(output: &mut dyn Write) -> Result<()> {
    output.write_all(&[0; 1024])?;
    Ok(())
}

#[derive(Default)]
struct Digester {
    hash: Sha256,
    size: u64,
}

impl Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(text: &'static str) -> Sealed {
        let file = FileInImage::new("etc/passwd", Content::Text(text), 0o644);
        let image = Image {
            name: "shopkeeper/test:1".into(),
            layers: vec![Layer::Files(vec![file])],
            config: json!({"User": "1"}),
        };
        image.seal().expect("a layer of text can be written")
    }

    #[test]
    fn an_image_is_known_by_its_content() {
        assert_eq!(image("one").digest, image("one").digest);
        assert_ne!(image("one").digest, image("two").digest);
    }

    #[test]
    fn an_archive_holds_the_layer_under_its_own_digest() {
        let sealed = image("root:x:0:0::/:\n");
        let mut written = Vec::new();
        write(std::slice::from_ref(&sealed), &mut written).expect("memory can be written");
        let mut outer = tar::Archive::new(&written[..]);
        let names: Vec<String> = outer
            .entries()
            .expect("a tar")
            .map(|entry| entry.expect("an entry").path().expect("a path").display().to_string())
            .collect();
        let layer = format!("{}.tar", sealed.layers[0].0);
        assert_eq!(names, [layer, format!("{}.json", sealed.digest), "manifest.json".into()]);
    }

    #[test]
    fn a_shared_layer_is_written_once() {
        let (one, two) = (image("same"), image("same"));
        let mut written = Vec::new();
        write(&[one, two], &mut written).expect("memory can be written");
        let entries = tar::Archive::new(&written[..]).entries().expect("a tar").count();
        assert_eq!(entries, 4, "one layer, two descriptions, one manifest");
    }
}
