"""Files on storage that is no file system of this machine, such as gs:// and s3://."""
