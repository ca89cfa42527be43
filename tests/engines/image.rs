//! What the image is, and how its first process behaves.
