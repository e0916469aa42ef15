"""The MONAI Label app: a thin shell over the loop for 3D Slicer and OHIF. Importing this loads neither."""
