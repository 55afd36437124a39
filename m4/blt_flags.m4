# BLT_ADD_FLAGS(VARIABLE, FLAGS)
# Appends to VARIABLE each of FLAGS that the C compiler takes without a
# warning, so that one list serves gcc and clang.
AC_DEFUN([BLT_ADD_FLAGS], [
  blt_save_CFLAGS=$CFLAGS
  for blt_flag in $2; do
    AC_MSG_CHECKING([whether $CC takes $blt_flag])
    CFLAGS="$blt_save_CFLAGS -Werror $blt_flag"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
      [AC_MSG_RESULT([yes]); $1="$$1 $blt_flag"],
      [AC_MSG_RESULT([no])])
  done
  CFLAGS=$blt_save_CFLAGS
])
